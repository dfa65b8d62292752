//! Counts the fields of an HTTP/2 header block that arrives in pieces (HPACK: RFC 7541, section 6).
//!
//! A field of one byte can refer to a table entry and takes a hundred times its size in a header map, so
//! fields are counted before they are decoded. Strings are skipped.

/// A header block, possibly incomplete.
#[derive(Debug, Default)]
pub(super) struct HeaderBlock {
    state: FieldsState,
    fields: usize,
    bytes: usize,
}

/// The meaning of the next byte.
#[derive(Debug, Clone, Copy, Default)]
enum FieldsState {
    /// The first byte of a field.
    #[default]
    Field,
    /// A further byte of a table index, followed by `strings` strings.
    Index { strings: u8 },
    /// The first byte of a string's length; `strings` strings are left, including this one.
    Length { strings: u8 },
    /// A further byte of a string's length.
    MoreLength { length: u64, shift: u32, strings: u8 },
    /// A byte of a string.
    Text { left: u64, strings: u8 },
}

impl HeaderBlock {
    /// Processes the next bytes of the block.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len();
        while let Some((first, rest)) = bytes.split_first() {
            if let FieldsState::Text { left, strings } = self.state
                && left > 0
            {
                let passed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[passed..];
                self.state = FieldsState::Text { left: left - passed as u64, strings };
                self.end_of_text();
                continue;
            }
            self.take(*first);
            self.end_of_text();
            bytes = rest;
        }
    }

    /// The number of fields so far, including changes of the table size.
    pub(super) fn fields(&self) -> usize {
        self.fields
    }

    /// The number of bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn take(&mut self, byte: u8) {
        let strings = |strings| {
            if strings == 0 { FieldsState::Field } else { FieldsState::Length { strings } }
        };
        self.state = match self.state {
            FieldsState::Field => {
                self.fields += 1;
                let (prefix, index, literal) = match byte {
                    0x80.. => (0x7F, byte & 0x7F, false),
                    0x40.. => (0x3F, byte & 0x3F, true),
                    0x20.. => (0x1F, byte & 0x1F, false),
                    _ => (0x0F, byte & 0x0F, true),
                };
                // A literal has a value string, and a name string if its index is 0.
                let count = u8::from(literal) * (1 + u8::from(index == 0));
                if index == prefix { FieldsState::Index { strings: count } } else { strings(count) }
            }
            FieldsState::Index { strings } if byte & 0x80 != 0 => FieldsState::Index { strings },
            FieldsState::Index { strings: count } => strings(count),
            FieldsState::Length { strings } => match byte & 0x7F {
                0x7F => FieldsState::MoreLength { length: 0x7F, shift: 0, strings: strings - 1 },
                length => FieldsState::Text { left: length.into(), strings: strings - 1 },
            },
            FieldsState::MoreLength { length, shift, strings } => {
                let more = u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(u64::MAX >> 1);
                let length = length.saturating_add(more);
                if byte & 0x80 == 0 {
                    FieldsState::Text { left: length, strings }
                } else {
                    FieldsState::MoreLength { length, shift: shift + 7, strings }
                }
            }
            FieldsState::Text { .. } => self.state,
        };
    }

    /// Continues after the end of a string.
    fn end_of_text(&mut self) {
        if let FieldsState::Text { left: 0, strings } = self.state {
            self.state =
                if strings == 0 { FieldsState::Field } else { FieldsState::Length { strings } };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.3.3 and C.4.3: the third request of a connection, without and with Huffman coding.
    const PLAIN: &[u8] = b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value";
    const CODED: &[u8] = b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";

    #[test]
    fn the_field_count_does_not_depend_on_how_the_block_is_split() {
        let long =
            [&b"\x04\xff\xa9\x01"[..], &[b'a'; 296], b"\x0f\x0f\x01b\x3f\xe1\x1f\x84"].concat();
        for (block, fields) in [(PLAIN, 5), (CODED, 5), (&long[..], 4)] {
            for split in 0..=block.len() {
                let mut counted = HeaderBlock::default();
                counted.add(&block[..split]);
                counted.add(&block[split..]);
                assert_eq!((counted.fields(), counted.bytes()), (fields, block.len()), "{split}");
                assert!(
                    matches!(counted.state, FieldsState::Field),
                    "{split}: {:?}",
                    counted.state
                );
            }
        }
    }

    #[test]
    fn a_huge_string_length_does_not_overflow() {
        let mut counted = HeaderBlock::default();
        counted.add(b"\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01rest");
        assert_eq!(counted.fields(), 1);
    }
}
