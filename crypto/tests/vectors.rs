//! Published vectors: RFC 9106 (Argon2), RFC 4231 (HMAC-SHA-256), Wycheproof (AES-256-GCM), and known
//! PHC strings of the Argon2 reference program.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder};
use crypto::mac::{Key, hex};
use crypto::password::Hasher;
use crypto::phc::{Phc, Variant, Version};

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// RFC 9106 section 5, through the same call with the caller's memory that a batch uses.
#[test]
fn argon2_gives_the_tags_of_rfc_9106() {
    let tags = [
        (
            Algorithm::Argon2d,
            "51 2b 39 1b 6f 11 62 97 53 71 d3 09 19 73 42 94 f8 68 e3 be 39 84 f3 c1 a1 3a 4d b9 fa be 4a cb",
        ),
        (
            Algorithm::Argon2i,
            "c8 14 d9 d1 dc 7f 37 aa 13 f0 d7 7f 24 94 bd a1 c8 de 6b 01 6d d3 88 d2 99 52 a4 c4 67 2b 6c e8",
        ),
        (
            Algorithm::Argon2id,
            "0d 64 0d f5 8d 78 76 6c 08 c0 37 a3 4a 8b 53 c9 d0 1e f0 45 2d 75 b6 5e b5 25 20 e9 6b 01 e6 59",
        ),
    ];
    for (algorithm, tag) in tags {
        let params = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let version = argon2::Version::V0x13;
        let argon2 = Argon2::new_with_secret(&[3; 8], algorithm, version, params).unwrap();
        // More memory than needed and not zero: what an earlier password left behind may not matter.
        let mut memory = vec![Block::new(); 64];
        for block in &mut memory {
            block.as_mut().fill(0xdead_beef);
        }
        let mut out = [0; 32];
        argon2.hash_password_into_with_memory(&[1; 32], &[2; 16], &mut out, &mut memory).unwrap();
        assert_eq!(out.to_vec(), unhex(tag), "{algorithm}");
    }
}

/// What `echo -n password | argon2 somesalt -e …` of the reference prints (its README and test.c).
#[test]
fn known_phc_strings_verify_and_are_made_again() {
    let known = [
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2i$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
        "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    ];
    let mut hasher = Hasher::new();
    for text in known {
        assert!(hasher.verify(text, b"password").unwrap(), "{text}");
        assert!(!hasher.verify(text, b"Password").unwrap(), "{text}");
        let phc = Phc::parse(text).unwrap();
        let explicit = text.contains("$v=");
        assert_eq!(phc.to_string() == text, explicit);
        assert_eq!(phc.version == Version::V19, text.contains("v=19"));
        assert!(phc.variant == Variant::I || text.contains("argon2id"));
    }
}

#[test]
fn hmac_gives_the_macs_of_rfc_4231() {
    let cases: [(Vec<u8>, Vec<u8>, &str); 6] = [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            (1..=25).collect(),
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. \
              The key needs to be hashed before being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, data, expected) in cases {
        assert_eq!(hex(&Key::new(&key).of(&data)), expected);
        assert_eq!(hex(&Key::new(&key).of_stream(&*data).unwrap()), expected);
    }
}

#[test]
fn aes_256_gcm_agrees_with_wycheproof() {
    let root = std::env::var("WARDMOTE_CORPORA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora").into());
    let Ok(text) = std::fs::read(format!("{root}/wycheproof/aes_gcm_test.json")) else {
        assert!(
            std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_none(),
            "no Wycheproof corpus, and WARDMOTE_REQUIRE_PEERS is set"
        );
        eprintln!("SKIPPED: no Wycheproof corpus under {root}");
        return;
    };
    let corpus: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let mut seen = [0, 0];
    for group in corpus["testGroups"].as_array().unwrap() {
        if (group["keySize"].as_u64(), group["ivSize"].as_u64()) != (Some(256), Some(96)) {
            continue;
        }
        for case in group["tests"].as_array().unwrap() {
            let bytes = |name: &str| unhex(case[name].as_str().unwrap());
            let cipher = Aes256Gcm::new_from_slice(&bytes("key")).unwrap();
            let nonce = Nonce::try_from(&bytes("iv")[..]).unwrap();
            let (plain, aad, tag) = (bytes("msg"), bytes("aad"), bytes("tag"));
            let mut text = bytes("ct");
            let given = Tag::try_from(&tag[..]).unwrap();
            let opened = cipher
                .decrypt_inout_detached(&nonce, &aad, InOutBuf::from(&mut text[..]), &given)
                .is_ok();
            let valid = case["result"] == "valid";
            assert_eq!(opened, valid, "case {}", case["tcId"]);
            seen[usize::from(valid)] += 1;
            // ring is what sealed files are made with.
            let key = ring::aead::UnboundKey::new(&ring::aead::AES_256_GCM, &bytes("key")).unwrap();
            let ring_nonce = ring::aead::Nonce::try_assume_unique_for_key(&bytes("iv")).unwrap();
            let mut both = [bytes("ct"), tag.clone()].concat();
            let opened = ring::aead::LessSafeKey::new(key)
                .open_in_place(ring_nonce, ring::aead::Aad::from(&aad), &mut both)
                .ok();
            assert_eq!(opened.as_deref(), valid.then_some(&plain[..]), "case {}", case["tcId"]);
            if valid {
                assert_eq!(text, plain);
                let made = cipher
                    .encrypt_inout_detached(&nonce, &aad, InOutBuf::from(&mut text[..]))
                    .unwrap();
                assert_eq!((made.as_slice(), text), (&tag[..], bytes("ct")));
            }
        }
    }
    assert!(seen[0] > 20 && seen[1] > 20, "the corpus has fewer cases than it should: {seen:?}");
}
