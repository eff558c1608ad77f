//! Lines of a file that may be compressed: what comes out is bounded, and lines tile the input.
#![no_main]

use std::io::{Read, Write};

use libfuzzer_sys::fuzz_target;
use parsers::map::{LINE_BYTES_MAX, Lines, gunzip};
use wardmote_fuzz::timed;

const LIMIT: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    timed(|| {
        let mut out = Vec::new();
        let ended = gunzip(data, LIMIT).read_to_end(&mut out);
        assert!(out.len() as u64 <= LIMIT);
        drop(ended);
        whole(data);
        let mut lines = Lines::new(data);
        let (mut offset, mut number) = (0, 0);
        while let Some(line) = lines.next_line().expect("memory does not fail") {
            assert_eq!((line.offset, line.number), (offset, number + 1));
            assert!(line.bytes.len() <= LINE_BYTES_MAX);
            number = line.number;
            offset = lines.offset();
        }
        assert_eq!(offset, data.len() as u64);
    });
});

/// What was packed comes out whole at the bound, and is an error one byte below it.
fn whole(data: &[u8]) {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(data).expect("memory does not fail");
    let packed = packer.finish().expect("memory does not fail");
    let mut out = Vec::new();
    gunzip(&packed[..], data.len() as u64).read_to_end(&mut out).expect("it fits the bound");
    assert_eq!(out, data);
    if let Some(less) = (data.len() as u64).checked_sub(1) {
        assert!(gunzip(&packed[..], less).read_to_end(&mut Vec::new()).is_err());
    }
}
