//! Text that a script writes to a socket or file. It stays in Lua's memory, which is limited, and is copied in chunks.

use mlua::{Lua, LuaString, WeakLua};

/// Maximum number of bytes of one chunk.
const CHUNK_BYTES_MAX: usize = 256 << 10;

/// Text to be written to a socket or file.
pub(super) struct OutgoingText {
    text: LuaString,
    lua: WeakLua,
}

impl OutgoingText {
    pub fn new(lua: &Lua, text: LuaString) -> Self {
        Self { text, lua: lua.weak() }
    }

    /// Returns the text in chunks. Each chunk is copied when the iterator reaches it.
    pub fn chunks(&self) -> impl Iterator<Item = Vec<u8>> + Send {
        let mut from = 0;
        std::iter::from_fn(move || {
            let chunk = self.copy_range(from, CHUNK_BYTES_MAX);
            from += chunk.len();
            (!chunk.is_empty()).then_some(chunk)
        })
    }

    /// Copies the first bytes of the text.
    pub fn prefix(&self, at_most: usize) -> Vec<u8> {
        self.copy_range(0, at_most)
    }

    fn copy_range(&self, from: usize, at_most: usize) -> Vec<u8> {
        // The Lua state may have been dropped at the end of the run. Then there is nothing to write.
        if self.lua.try_upgrade().is_none() {
            return Vec::new();
        }
        let bytes = self.text.as_bytes();
        let rest = bytes.get(from..).unwrap_or_default();
        rest[..rest.len().min(at_most)].to_vec()
    }
}
