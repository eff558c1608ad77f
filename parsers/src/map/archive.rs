//! Rotated logs that were compressed: gzip (RFC 1952), xz and Zstandard (RFC 8878), as readers.
//!
//! What a file is, its first bytes say, never its name. An archive may have several members; what comes
//! out is bounded, and so is the memory that a stream may ask for ([`WINDOW_BYTES_MAX`]), before it is
//! allocated. A cut or damaged archive gives the bytes before the damage and then an error. Refuses
//! bzip2, by name: nothing here can expand it.

use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Most bytes that one archive may expand to, unless the caller says otherwise (2 GiB).
pub const EXPANDED_BYTES_MAX: u64 = 2 << 30;

/// Most bytes of the window (zst) or dictionary (xz) that a stream may ask for: what `xz -9` and
/// `zstd -19` ask for, not what `zstd --ultra` or `--long` may.
pub const WINDOW_BYTES_MAX: u64 = 64 << 20;

/// What an xz decoder needs beside its dictionary.
const XZ_OVERHEAD_KIB: u32 = 1 << 10;

/// Most bytes asked of a decoder at once: an error loses no more than that of what stood before it.
const STEP_BYTES: usize = 16 << 10;

/// First bytes that [`Packing::of`] wants to see.
pub const MAGIC_BYTES: usize = 10;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// The .xz format.
    Xz,
    /// RFC 8878.
    Zstd,
    /// Known, and not expanded.
    Bzip2,
}

impl Packing {
    /// What these first bytes of a file say; `None` for a file that is not compressed.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
                if rest.starts_with(b"\x31\x41\x59\x26\x53\x59") =>
            {
                Some(Self::Bzip2)
            }
            _ => None,
        }
    }

    /// The bytes of an archive, at most `limit` of them.
    pub fn unpack<'a, R: Read + Send + 'a>(
        self,
        reader: R,
        limit: u64,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let overhead = u64::from(XZ_OVERHEAD_KIB);
        let kib = u32::try_from((WINDOW_BYTES_MAX >> 10) + overhead).unwrap_or(u32::MAX);
        Ok(match self {
            Self::Gzip => Box::new(gunzip(reader, limit)),
            Self::Xz => {
                let reader = BufReader::new(reader);
                Box::new(Bounded::new(XzReader::new_mem_limit(reader, true, kib), limit))
            }
            Self::Zstd => Box::new(Bounded::new(Zstd::new(reader), limit)),
            Self::Bzip2 => {
                return Err(io::Error::other(
                    "bzip2 cannot be expanded here: use gzip, xz or zstd",
                ));
            }
        })
    }
}

/// The bytes of a gzip file (several members too), at most `limit` of them.
pub fn gunzip<R: Read>(reader: R, limit: u64) -> impl Read {
    Bounded::new(MultiGzDecoder::new(reader), limit)
}

/// Whether these first bytes of a file say that it is gzip (RFC 1952).
pub fn is_gzip(head: &[u8]) -> bool {
    Packing::of(head) == Some(Packing::Gzip)
}

/// A decoder that gives at most so many bytes and is not asked again after an error.
struct Bounded<R> {
    inner: Option<R>,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    fn new(inner: R, limit: u64) -> Self {
        Self { inner: Some(inner), left: limit, limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(inner) = &mut self.inner else { return Ok(0) };
        if into.is_empty() {
            return Ok(0);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = wanted.min(into.len()).min(STEP_BYTES);
        let read = match wanted {
            0 => inner.read(&mut [0]).and_then(|read| match read {
                0 => Ok(0),
                _ => Err(io::Error::other(format!("expands beyond {} bytes", self.limit))),
            }),
            _ => inner.read(&mut into[..wanted]),
        };
        match read {
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.inner = None;
                Err(match error.kind() {
                    io::ErrorKind::OutOfMemory => too_large(),
                    _ => error,
                })
            }
        }
    }
}

fn too_large() -> io::Error {
    io::Error::other(format!("needs more than {} MiB to expand", WINDOW_BYTES_MAX >> 20))
}

/// The frames of a Zstandard file, one after another; skippable ones are skipped.
struct Zstd<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    in_frame: bool,
    /// What ends the file after the bytes that are still to be given.
    failed: Option<io::Error>,
}

impl<R: Read> Zstd<R> {
    fn new(reader: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self { source: BufReader::new(reader), decoder, in_frame: false, failed: None }
    }

    /// Begins the next frame; `false` at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.source.by_ref().take(u64::from(length));
                    if io::copy(&mut skipped, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(too_large()),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// Decodes until there is something to give or the frame is at its end.
    fn advance(&mut self) {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let step = BlockDecodingStrategy::UptoBlocks(1);
            let Err(error) = self.decoder.decode_blocks(&mut self.source, step) else { continue };
            self.failed = Some(io::Error::other(error));
            // The decoder keeps the last window to itself until a frame ends. Of a file that was cut
            // those bytes are good: an empty last block (RFC 8878, 3.1.1.2) sets them free.
            let cut = self.source.fill_buf().is_ok_and(<[u8]>::is_empty);
            let end: &[u8] = &[1, 0, 0, 0, 0, 0, 0];
            if !cut || self.decoder.decode_blocks(end, BlockDecodingStrategy::All).is_err() {
                self.in_frame = false;
                return;
            }
        }
    }

    fn checked(&self) -> io::Result<()> {
        let (told, counted) =
            (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        match (told, counted) {
            (Some(told), Some(counted)) if told != counted => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "checksum does not match"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame && self.failed.is_none() {
                self.advance();
            }
            if self.in_frame && self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.in_frame {
                self.checked()?;
                self.in_frame = false;
            }
            if !self.begin()? {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn text(lines: usize) -> Vec<u8> {
        (0..lines).flat_map(|at| format!("line {at} of a log\n").into_bytes()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    /// Packs with the real tool; `None` (with a line) where there is none.
    fn packed(tool: &str, arguments: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
        let required = std::env::var_os("WARDMOTE_REQUIRE_PEERS").is_some_and(|value| value == "1");
        let child = Command::new(tool)
            .args(arguments)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            assert!(!required, "{tool} is required and absent");
            eprintln!("SKIPPED: no {tool}");
            return None;
        };
        let mut stdin = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        let feeder = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        assert!(output.status.success());
        Some(output.stdout)
    }

    /// What comes out, and the error that ended it.
    fn unpack(archive: &[u8], limit: u64) -> (Vec<u8>, Option<String>) {
        let packing = Packing::of(archive).expect("an archive");
        let mut out = Vec::new();
        let ended = match packing.unpack(archive, limit) {
            Ok(mut reader) => {
                let ended = reader.read_to_end(&mut out).err();
                if ended.is_some() {
                    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "asked again after an error");
                }
                ended
            }
            Err(error) => Some(error),
        };
        (out, ended.map(|error| error.to_string()))
    }

    const TOOLS: [(&str, &[&str]); 5] = [
        ("xz", &["-6"]),
        ("xz", &["-0", "--check=sha256", "--block-size=50000"]),
        ("xz", &["-9", "--check=none"]),
        ("zstd", &["-q", "-19"]),
        ("zstd", &["-q", "-1", "--no-check"]),
    ];

    #[test]
    fn what_the_real_tools_pack_comes_out_whole_and_cut_archives_give_what_was_before() {
        let text = text(60_000);
        let mut archives = vec![gzip(&text)];
        archives.extend(TOOLS.iter().filter_map(|(tool, args)| packed(tool, args, &text)));
        for (at, archive) in archives.iter().enumerate() {
            let length = text.len() as u64;
            assert!(unpack(archive, length) == (text.clone(), None), "archive {at}");
            let (out, error) = unpack(archive, length - 1);
            assert!(out[..] == text[..text.len() - 1], "archive {at}");
            assert_eq!(error, Some(format!("expands beyond {} bytes", length - 1)));
            let twice = [&archive[..], &archive[..]].concat();
            assert!(unpack(&twice, 2 * length) == (text.repeat(2), None), "archive {at}, twice");
            let (out, error) = unpack(&archive[..archive.len() * 3 / 4], length);
            assert!(error.is_some() && text.starts_with(&out), "archive {at}, cut");
            // xz and zstd give whole blocks only; of one block nothing may come.
            let blocks = out.len() >= text.len() / 3;
            assert!(blocks || archive.len() < 40_000 || out.len() > 100_000, "{at}: {}", out.len());
        }
    }

    #[test]
    fn a_damaged_archive_is_an_error_and_nothing_false_is_given_with_checks() {
        let text = text(30_000);
        for (tool, args) in [("xz", &["-6"][..]), ("zstd", &["-q", "-3", "--check"])] {
            let Some(mut archive) = packed(tool, args, &text) else { continue };
            let middle = archive.len() / 2;
            archive[middle] ^= 0x40;
            assert!(unpack(&archive, 1 << 30).1.is_some(), "{tool}");
        }
    }

    /// Bytes changed, cut out and put in at random: never a panic, never more than the bound.
    #[test]
    fn damage_of_any_kind_is_an_error_or_bounded_bytes() {
        let text = text(3_000);
        let mut archives = vec![gzip(&text)];
        archives.extend(TOOLS.iter().filter_map(|(tool, args)| packed(tool, args, &text)));
        let mut state = 1_u64;
        let mut below = move |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        let rounds = std::env::var("WARDMOTE_TEST_ROUNDS").ok().and_then(|n| n.parse().ok());
        for round in 0..rounds.unwrap_or(1_500) {
            let mut bytes = archives[round % archives.len()].clone();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                match below(4) {
                    0 => bytes[at] ^= 1 << below(8),
                    1 => bytes[at] = [0, 0xff, 0x80, 0x7f][below(4)],
                    2 => bytes.truncate(at.max(10)),
                    _ => _ = bytes.splice(at..at, std::iter::repeat_n(0xa5, below(9))),
                }
            }
            if Packing::of(&bytes).is_some() {
                assert!(unpack(&bytes, 200_000).0.len() <= 200_000);
            }
        }
    }

    #[test]
    fn frames_that_are_to_be_skipped_are_skipped() {
        let Some(frame) = packed("zstd", &["-q"], b"one\n") else { return };
        let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9][..], &frame].concat();
        assert_eq!(unpack(&skipped, 100), (b"one\n".to_vec(), None));
        let after = [&frame[..], &skipped, &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat();
        assert_eq!(unpack(&after, 100), (b"one\none\n".to_vec(), None));
        let (out, error) =
            unpack(&[&frame[..], &[0x50, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]].concat(), 9);
        assert!(out == b"one\n" && error.is_some());
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused_before_it_is_there() {
        // Magic, a frame with a window descriptor of 64 MiB or of 72 MiB, an empty last block.
        let zstd = |descriptor: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, descriptor, 1, 0, 0];
        assert_eq!(unpack(&zstd(16 << 3), 9), (vec![], None));
        let refused = Some("needs more than 64 MiB to expand".to_string());
        assert_eq!(unpack(&zstd(16 << 3 | 1), 9), (vec![], refused.clone()));
        let arguments = ["--format=xz", "--lzma2=dict=65MiB"];
        let Some(archive) = packed("xz", &arguments, b"one\n") else { return };
        assert_eq!(unpack(&archive, 9), (vec![], refused));
    }

    #[test]
    fn content_says_what_a_file_is_and_bzip2_is_refused_by_name() {
        assert_eq!(Packing::of(b"Dec 10 06:55:46 web sshd"), None);
        assert_eq!(Packing::of(b"BZh9 is how this line begins"), None);
        assert_eq!(Packing::of(b""), None);
        assert_eq!(
            unpack(b"BZh91AY&SY", 9).1.unwrap(),
            "bzip2 cannot be expanded here: use gzip, xz or zstd"
        );
        assert!(is_gzip(&gzip(b"")) && !is_gzip(b"BZh91AY&SY"));
    }
}
