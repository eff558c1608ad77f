//! Sealed files: nothing forged opens, what was sealed opens, and no changed byte goes unnoticed.
#![no_main]

use crypto::seal::{KEY_BYTES, Key, LOCK_BYTES, Lock, SALT_BYTES, open, seal};
use libfuzzer_sys::fuzz_target;
use wardmote_fuzz::timed;
use zeroize::Zeroizing;

const CONTEXT: &[u8] = b"fuzz";

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let key = Key::new(Zeroizing::new([7; KEY_BYTES]));
        assert!(open(&key, CONTEXT, data, &mut Vec::new()).is_err());
        if let Some(head) = data.first_chunk::<LOCK_BYTES>()
            && let Ok(lock) = Lock::decode(head)
        {
            assert_eq!(&lock.encode(), head);
        }
        let mut sealed = Vec::new();
        seal(&key, &[9; SALT_BYTES], CONTEXT, data, &mut sealed).expect("memory does not fail");
        let mut opened = Vec::new();
        open(&key, CONTEXT, &sealed[..], &mut opened).expect("what was sealed opens");
        assert_eq!(opened, data);
        let place = data.iter().fold(0_usize, |sum, byte| sum * 31 % 65_537 + usize::from(*byte));
        let place = place % sealed.len();
        assert!(open(&key, CONTEXT, &sealed[..place], &mut Vec::new()).is_err());
        sealed[place] ^= 1;
        let mut opened = Vec::new();
        assert!(open(&key, CONTEXT, &sealed[..], &mut opened).is_err());
        assert!(data.starts_with(&opened), "only authentic bytes are given out");
    });
});
