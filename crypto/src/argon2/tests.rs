use proptest::prelude::*;

use super::block::WORDS;
use super::*;

fn cost(memory: u32, time: u32, lanes: u32) -> Cost {
    Cost::new(memory, time, lanes).unwrap()
}

/// The tag with a kernel, in memory that an earlier password has left dirty.
fn tag(kernel: Kernel, input: &Input<'_>, password: &[u8], bytes: usize) -> Vec<u8> {
    let mut memory = vec![Block([0xdead_beef; WORDS]); block_count(input.cost) + 3];
    let mut tag = vec![0; bytes];
    derive(kernel, &mut memory, input, password, &mut tag);
    tag
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_kernel_gives_the_tags_of_rfc_9106() {
    let tags = [
        (Variant::D, "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb"),
        (Variant::I, "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8"),
        (Variant::Id, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"),
    ];
    for kernel in Kernel::available() {
        for (variant, expected) in tags {
            let cost = cost(32, 3, 4);
            let (salt, secret, data) = (&[2; 16], &[3; 8], &[4; 12]);
            let input = Input { variant, version: Version::V19, cost, salt, secret, data };
            assert_eq!(hex(&tag(kernel, &input, &[1; 32], 32)), expected);
        }
    }
}

/// What the library says of the same.
fn library(input: &Input<'_>, password: &[u8], bytes: usize) -> Vec<u8> {
    let algorithm = match input.variant {
        Variant::D => ::argon2::Algorithm::Argon2d,
        Variant::I => ::argon2::Algorithm::Argon2i,
        Variant::Id => ::argon2::Algorithm::Argon2id,
    };
    let version = match input.version {
        Version::V16 => ::argon2::Version::V0x10,
        Version::V19 => ::argon2::Version::V0x13,
    };
    let (memory, time, lanes) = (input.cost.memory_kib(), input.cost.time(), input.cost.lanes());
    let params = ::argon2::Params::new(memory, time, lanes, Some(bytes)).unwrap();
    let mut tag = vec![0; bytes];
    let argon2 = ::argon2::Argon2::new(algorithm, version, params);
    argon2.hash_password_into(password, input.salt, &mut tag).unwrap();
    tag
}

fn variants() -> impl Strategy<Value = Variant> {
    prop_oneof![Just(Variant::D), Just(Variant::I), Just(Variant::Id)]
}

fn costs() -> impl Strategy<Value = Cost> {
    // Small memories, where areas are empty or one block long, and some of several address blocks.
    let memory = prop_oneof![4 => 0_u32..64, 2 => 0_u32..700, 1 => 0_u32..3_000];
    (memory, 1_u32..4, 1_u32..6).prop_map(|(more, time, lanes)| cost(8 * lanes + more, time, lanes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_500))]

    #[test]
    fn every_kernel_agrees_with_the_library(
        variant in variants(),
        old in any::<bool>(),
        cost in costs(),
        password in proptest::collection::vec(any::<u8>(), 0..200),
        salt in proptest::collection::vec(any::<u8>(), 8..64),
        bytes in 12_usize..=64,
    ) {
        let version = if old { Version::V16 } else { Version::V19 };
        let input = Input { variant, version, cost, salt: &salt, secret: b"", data: b"" };
        let expected = library(&input, &password, bytes);
        for kernel in Kernel::available() {
            prop_assert_eq!(&tag(kernel, &input, &password, bytes), &expected);
        }
    }
}

proptest! {
    #[test]
    fn every_kernel_mixes_as_plain_rust_does(
        words in proptest::collection::vec(any::<u64>(), 3 * WORDS),
        at in proptest::collection::vec(0_usize..3, 3),
        keep in any::<bool>(),
    ) {
        let step = Step { previous: at[0], reference: at[1], current: at[2], keep };
        let mut expected = Vec::new();
        for kernel in Kernel::available() {
            let mut blocks = vec![Block::ZERO; 3];
            for (block, words) in blocks.iter_mut().zip(words.chunks(WORDS)) {
                words.iter().enumerate().for_each(|(n, word)| block.0[kernel.place(n)] = *word);
            }
            kernel.mix(&mut blocks, step);
            let read = |block: &Block| (0..WORDS).map(|n| block.0[kernel.place(n)]).collect();
            let mixed: Vec<Vec<u64>> = blocks.iter().map(read).collect();
            if expected.is_empty() {
                expected = mixed.clone();
            }
            prop_assert!(mixed == expected);
        }
    }
}

#[test]
fn every_word_has_a_place_of_its_own_and_the_first_one_is_first() {
    for kernel in Kernel::available() {
        let places: std::collections::BTreeSet<usize> =
            (0..WORDS).map(|word| kernel.place(word)).collect();
        assert!(places.into_iter().eq(0..WORDS));
        assert_eq!(kernel.place(0), 0);
    }
}
