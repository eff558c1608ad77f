//! Archives of logs in every format: what comes out is bounded and in whole lines, whatever goes in; what
//! one format packs, it gives back.
#![no_main]

use std::io::{Read, Write};

use libfuzzer_sys::fuzz_target;
use parsers::map::{Flow, Packing};
use wardmote_fuzz::timed;

const LIMIT: u64 = 1 << 20;

/// First bytes of gzip, xz, zst and a frame to be skipped: put before the input, so that the fuzzer need
/// not find them.
const MAGICS: [&[u8]; 4] = [
    &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
    &[0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4, 0xe6, 0xd6, 0xb4, 0x46],
    &[0x28, 0xb5, 0x2f, 0xfd],
    &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 1],
];

fuzz_target!(|data: &[u8]| {
    timed(|| {
        expand(data);
        if let Some((which, rest)) = data.split_first() {
            expand(&[MAGICS[usize::from(*which) % MAGICS.len()], rest].concat());
        }
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(data).expect("memory does not fail");
        let packed = packer.finish().expect("memory does not fail");
        let reader = Packing::Gzip.unpack(&packed[..], LIMIT).expect("gzip is read");
        assert_eq!(blocks(reader).0, data);
    });
});

fn expand(bytes: &[u8]) {
    let Some(packing) = Packing::of(bytes) else { return };
    let Ok(reader) = packing.unpack(bytes, LIMIT) else { return };
    let (out, ended) = blocks(reader);
    assert!(out.len() as u64 <= LIMIT);
    if ended {
        let mut whole = Vec::new();
        let reader = packing.unpack(bytes, LIMIT).expect("it was opened before");
        reader.take(LIMIT).read_to_end(&mut whole).expect("it was read before");
        assert!(out == whole || out.len() < whole.len(), "over-long lines are cut");
    }
}

/// What comes out as blocks of lines, and whether it ended without an error.
fn blocks(reader: impl Read) -> (Vec<u8>, bool) {
    let mut flow = Flow::new(reader, 0);
    let (mut out, mut buffer) = (Vec::new(), Vec::new());
    loop {
        match flow.next_block(4096, &mut buffer) {
            Ok(Some(block)) => {
                assert!(block.offset >= out.len() as u64);
                out.extend_from_slice(block.bytes);
            }
            Ok(None) => return (out, true),
            Err(_) => return (out, false),
        }
    }
}
