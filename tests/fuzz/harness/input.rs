//! Reads a fuzzer's input from its front; where it ends, all is zero.

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Two bytes, the high one first.
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// As many bytes as the next word says, or as there are.
    pub fn bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.word()) % MOST_BYTES;
        let (bytes, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// One more than the longest packet: longer than a chunk carries.
const MOST_BYTES: usize = 1801;

/// Takes booleans from a byte, the lowest bit first.
pub struct Bits(pub u8);

impl Bits {
    pub fn next(&mut self) -> bool {
        let bit = self.0 & 1 != 0;
        self.0 >>= 1;
        bit
    }

    /// The next two bits.
    pub fn two(&mut self) -> usize {
        let two = usize::from(self.0 & 3);
        self.0 >>= 2;
        two
    }
}
