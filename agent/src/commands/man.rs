//! `wardmote man`: the manual page of the program or of one command.

use clap::CommandFactory;

use crate::commands::{Cli, Global};
use crate::exit::{Exit, hinted};

/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Command to describe [default: the program]
    command: Option<String>,
}

/// Exit codes and files, as section text in roff.
const MORE: &str = r#".SH "EXIT STATUS"
.TP
.B 0
nothing at or above \-\-fail\-on (match: a hit)
.TP
.B 1
something at or above it (match: no hit; verify, mac \-\-check, open: something does not hold)
.TP
.B 2
bad usage, bad configuration or unusable input: nothing was examined
.TP
.B 3
ran, but a part could not be examined; 1 wins over 3
.TP
.B 4
internal error
.TP
.B 75
another sweep is running
.TP
.B 141
the reader of standard output went away
.SH CONFIGURATION
The section
.B site
tells about the host and its surroundings; all of it is optional.
.TP
.B role
web, database, mail, dns, files or bastion; inferred from what listens where absent
.TP
.B own_networks
addresses and networks of your own: attempts from there are milder, nothing grave is
.TP
.B monitoring
addresses that probe the host for you: their attempts are noise
.TP
.BR scanners ", " tor
files of addresses known to scan everybody, and of Tor relays: one address or network a line, # begins a comment
.TP
.B accepted
a list of {check, user, network, path}: what is known and meant; every part given must fit
.SH FILES
/etc/wardmote/wardmote.yaml, /etc/wardmote/conf.d/*.yaml, /etc/wardmote/accepted.yaml, /var/lib/wardmote
.PP
In the state directory: kept/ (findings with what they were judged from), feedback.jsonl (what operators said)
"#;

/// Prints the page (section 8) in roff: pipe it to `man -l -`.
pub fn run(args: Args, global: &Global) -> anyhow::Result<Exit> {
    let roff = page(args.command.as_deref())?;
    crate::output::write(global.output.as_deref(), &roff)?;
    Ok(Exit::Clean)
}

/// The page of the program, or of one command.
fn page(command: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut program = Cli::command();
    // Commands get the options of every command only now, and may speak of them.
    program.build();
    let (command, name) = match command {
        None => (program, "wardmote".to_string()),
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            let unknown = || hinted(format!("no command `{name}`"), "wardmote --help lists them");
            (found.ok_or_else(unknown)?, format!("wardmote-{name}"))
        }
    };
    // Subcommands carry no version of their own; the page names the program's.
    let command = command.name(name.clone()).version(env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command).section("8").title(name);
    let mut roff = Vec::new();
    page.render(&mut roff)?;
    roff.extend_from_slice(MORE.as_bytes());
    Ok(roff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_every_command_have_a_page() {
        let whole = page(None).unwrap();
        assert!(String::from_utf8_lossy(&whole).contains("EXIT STATUS"));
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let text = String::from_utf8(page(Some(name)).unwrap()).unwrap();
            assert!(text.contains(&format!(".TH wardmote-{name} 8")), "{name}: {text}");
        }
        assert!(page(Some("nonsense")).is_err());
    }
}
