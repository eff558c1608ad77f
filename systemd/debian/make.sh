#!/bin/sh
# Makes the Debian package of a wardmote program with dpkg-deb: the program, the units, and what the program says of
# itself (manual pages, completions, an example configuration). `cargo xtask deb` calls it with a release build, and
# agent/tests/units.rs with whatever was built for the tests.
#
#   make.sh WARDMOTE-BINARY PACKAGE.deb|FOLDER [COMPRESSION]
#
# Needs dpkg-deb and gzip. This file is the list of what goes where; package-test.sh tries what comes of it.
set -eu
program=$1 package=$2 compression=${3:-xz}
here=$(cd "$(dirname "$0")" && pwd)
units=${here%/*} tree=${here%/*/*}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"

put() { # MODE FILE... FOLDER
    mode=$1
    shift
    for last; do :; done
    mkdir -p "$stage/$last"
    while [ $# -gt 1 ]; do
        install -m "$mode" "$1" "$stage/$last/"
        shift
    done
}

install -D -m 755 "$program" "$stage/usr/bin/wardmote"
put 644 "$units"/*.service "$units"/*.timer "$units"/*.socket usr/lib/systemd/system
put 644 "$units/sysusers.d/wardmote.conf" usr/lib/sysusers.d
put 644 "$units/tmpfiles.d/wardmote.conf" usr/lib/tmpfiles.d
put 644 "$units/catalog/wardmote.catalog" usr/lib/systemd/catalog
# What is not for everybody is an example.
put 644 "$units"/wardmote.service.d/*.conf usr/share/doc/wardmote/examples
put 644 "$units"/conf.d/*.yaml usr/share/doc/wardmote/examples/conf.d
put 644 "$units/cron.d/wardmote" usr/share/doc/wardmote/examples
mv "$stage/usr/share/doc/wardmote/examples/wardmote" "$stage/usr/share/doc/wardmote/examples/cron"
put 644 "$tree/README.md" "$tree/CHANGELOG.md" usr/share/doc/wardmote
put 644 "$tree"/docs/*.md usr/share/doc/wardmote/docs
put 644 "$tree/LICENSE-MIT" usr/share/doc/wardmote
mv "$stage/usr/share/doc/wardmote/LICENSE-MIT" "$stage/usr/share/doc/wardmote/copyright"

run="$stage/usr/bin/wardmote"
pages=$stage/usr/share/man/man8
mkdir -p "$pages"
"$run" man >"$pages/wardmote.8"
# A command a line, two blanks before it.
for name in $("$run" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
    [ "$name" = help ] || "$run" man "$name" >"$pages/wardmote-$name.8"
done
[ "$(find "$pages" -type f | wc -l)" -gt 20 ] || { echo "make.sh: wardmote --help names too few commands" >&2; exit 1; }
gzip --best --no-name "$pages"/*
mkdir -p "$stage/usr/share/bash-completion/completions" "$stage/usr/share/zsh/vendor-completions" "$stage/usr/share/fish/vendor_completions.d"
"$run" completions bash >"$stage/usr/share/bash-completion/completions/wardmote"
"$run" completions zsh >"$stage/usr/share/zsh/vendor-completions/_wardmote"
"$run" completions fish >"$stage/usr/share/fish/vendor_completions.d/wardmote.fish"
{
    echo "# Every setting of wardmote with its default. Copy to /etc/wardmote/wardmote.yaml and take the comment"
    echo "# signs off what you change; \`wardmote config check\` says whether it holds."
    echo "#"
    : >"$stage/empty.yaml" # not what this machine's own configuration says
    "$run" config show --config "$stage/empty.yaml"
    rm "$stage/empty.yaml"
} | sed '4,$s/^/#/' >"$stage/usr/share/doc/wardmote/examples/wardmote.yaml"

version=$("$run" --version | sed 's/.* //')
architecture=$(dpkg --print-architecture)
[ ! -d "$package" ] || package=$package/wardmote_$version-1_$architecture.deb
# The newest of the C library's versions that the program asks for.
libc=$(grep -aoE 'GLIBC_2\.[0-9]+' "$run" | sort -uV | tail -n 1)
depends=''
[ -z "$libc" ] || depends="libc6 (>= ${libc#GLIBC_})"
! grep -aq 'libgcc_s\.so\.1' "$run" || depends="${depends:+$depends, }libgcc-s1"
[ -z "$depends" ] || depends="Depends: $depends
"
mkdir "$stage/DEBIAN"
cat >"$stage/DEBIAN/control" <<CONTROL
Package: wardmote
Version: $version-1
Architecture: $architecture
Maintainer: The wardmote authors <maintainers@wardmote.invalid>
Installed-Size: $(du -sk "$stage" | cut -f 1)
Section: admin
Priority: optional
${depends}Recommends: nftables
Description: wardmote: a security agent for Linux servers
 Looks at a Linux server (services, logs, configuration, accounts), lets a panel
 of deterministic experts judge each piece of evidence in context, and says how
 bad it is and why. Installing it starts nothing: run \`wardmote audit\`, or enable
 wardmote.service, wardmote-audit.timer or wardmote-sweep.timer.
CONTROL
(cd "$stage" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
for script in postinst prerm postrm; do
    install -m 755 "$here/$script" "$stage/DEBIAN/$script"
done
find "$stage" -type d -exec chmod 755 {} +
find "$stage/usr/share" -type f -exec chmod 644 {} +
# A test wants it soon (none), everybody else small.
dpkg-deb --root-owner-group "-Z$compression" --build "$stage" "$package" >/dev/null
echo "$package"
