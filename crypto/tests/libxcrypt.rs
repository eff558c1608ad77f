//! The peer: libxcrypt, asked through Python's ctypes, makes hashes of random passwords; ours must take
//! each password and refuse a changed one.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::process::Command;

use crypto::password::Hasher;
use crypto::shadow::{Hash, Scheme};

/// Prints `SCHEME HEX-PASSWORD HASH` a line; exits with 9 where the library is absent.
const SCRIPT: &str = r#"
import ctypes, random, string, sys
try:
    lib = ctypes.CDLL('libcrypt.so.1')
    lib.crypt.restype = ctypes.c_char_p
    crypt = lambda p, s: (lib.crypt(p, s.encode()) or b'*').decode()
    assert crypt(b'x', '$y$j75$abcdefgh$').startswith('$y$')
except Exception as error:
    print(error, file=sys.stderr)
    sys.exit(9)
dice = random.Random(int(sys.argv[1]))
letters = './' + string.digits + string.ascii_uppercase + string.ascii_lowercase
def salt(least, most):
    return ''.join(dice.choice(letters) for _ in range(dice.randint(least, most)))
def groups():
    # What decodes without a rest: whole groups of four.
    return ''.join(dice.choice(letters) for _ in range(4 * dice.randint(1, 5)))
settings = {
    'md5crypt': lambda: '$1$' + salt(0, 8) + '$',
    'bcrypt': lambda: '$2' + dice.choice('aby') + '$04$' + salt(21, 21) + 'u$',
    'sha256crypt': lambda: '$5$' + dice.choice(['', 'rounds=1000$', 'rounds=1234$']) + salt(0, 16) + '$',
    'sha512crypt': lambda: '$6$' + dice.choice(['', 'rounds=1000$', 'rounds=1234$']) + salt(0, 16) + '$',
    'scrypt': lambda: '$7$' + dice.choice('6789') + dice.choice('2346') + '..../....' + salt(1, 20) + '$',
    'yescrypt': lambda: '$y$j' + dice.choice('678') + dice.choice('567') + '$' + groups() + '$',
    'gost-yescrypt': lambda: '$gy$j' + dice.choice('678') + dice.choice('567') + '$' + groups() + '$',
}
for scheme, setting in settings.items():
    for _ in range(int(sys.argv[2])):
        size = dice.choice([0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 71, 72, 73, 100, 255, 500])
        password = bytes(dice.randint(1, 255 if dice.random() < .5 else 126) for _ in range(dice.randint(0, size)))
        made = crypt(password, setting())
        if made.startswith('*'):
            sys.exit('refused: ' + scheme)
        print(scheme, password.hex() or '-', made)
"#;

/// Hashes a scheme, unless told otherwise by `WARDMOTE_TEST_CASES`.
const CASES: &str = "500";

#[test]
fn hashes_of_libxcrypt_take_their_passwords_and_no_others() {
    let cases = std::env::var("WARDMOTE_TEST_CASES").unwrap_or_else(|_| CASES.to_string());
    let seed = std::env::var("WARDMOTE_TEST_SEED").unwrap_or_else(|_| "1".to_string());
    let ran = Command::new("python3").args(["-c", SCRIPT, &seed, &cases]).output();
    let output = match ran {
        Ok(output) if output.status.code() != Some(9) => output,
        _ => {
            let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some();
            assert!(!required, "python3 with libcrypt.so.1 (libxcrypt) is required and absent");
            println!("SKIPPED: no python3 with libcrypt.so.1 (libxcrypt)");
            return;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7 * cases.parse::<usize>().unwrap());
    let half = lines.len() / 2;
    std::thread::scope(|scope| {
        for part in [&lines[..half], &lines[half..]] {
            scope.spawn(move || {
                let mut hasher = Hasher::new();
                part.iter().for_each(|line| check(line, &mut hasher));
            });
        }
    });
}

fn check(line: &str, hasher: &mut Hasher) {
    let [scheme, password, text] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("three words: {line}")
    };
    let password = match password {
        "-" => Vec::new(),
        hex => (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect(),
    };
    let hash = Hash::parse(text).unwrap_or_else(|| panic!("unknown: {line}"));
    let hash = hash.unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(hash.scheme().name(), scheme);
    assert!(hash.matches(&password, hasher).unwrap(), "{line}");
    let mut other = password;
    match other.first_mut() {
        Some(byte) => *byte = if *byte == b'x' { b'y' } else { b'x' },
        None => other.push(b'x'),
    }
    assert!(!hash.matches(&other, hasher).unwrap(), "{line}");
}

#[test]
fn the_schemes_asked_of_the_peer_are_all_of_crypt_but_argon2() {
    let asked = |scheme: Scheme| SCRIPT.contains(&format!("'{}': lambda", scheme.name()));
    let all = [
        Scheme::Md5,
        Scheme::Bcrypt,
        Scheme::Sha256,
        Scheme::Sha512,
        Scheme::Scrypt,
        Scheme::Yescrypt,
        Scheme::GostYescrypt,
    ];
    assert!(all.into_iter().all(asked) && !asked(Scheme::Argon2));
}
