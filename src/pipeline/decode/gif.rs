//! GIF: the blocks of a file (`GIF89a` specification), as far as the first frame.

/// Whether the first frame is all there. What follows it is not used.
pub(super) fn has_its_first_frame(bytes: &[u8]) -> bool {
    first_frame_end(bytes).is_some()
}

/// The place behind the first frame, or where the decoder will find that there is none.
fn first_frame_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 13 + color_table_length(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            b'!' => at = after_sub_blocks(bytes, at + 2)?,
            b',' => {
                let table = color_table_length(*bytes.get(at + 9)?);
                return after_sub_blocks(bytes, at + 11 + table);
            }
            _ => return Some(at),
        }
    }
}

/// Of the table of colours that may follow a descriptor with these flags, in bytes.
fn color_table_length(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 6 << (flags & 0x07) }
}

/// Sub-blocks begin with their length; one of length 0 ends them.
fn after_sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
