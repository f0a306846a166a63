//! Text on its way out of the script. It stays Lua's, whose memory has a limit, and is copied piece by piece as it goes.

use mlua::{Lua, LuaString, WeakLua};

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 << 10;

/// See the module.
pub(super) struct Payload {
    text: LuaString,
    lua: WeakLua,
}

impl Payload {
    pub fn new(lua: &Lua, text: LuaString) -> Self {
        Self { text, lua: lua.weak() }
    }

    /// Its pieces, in order, each copied when it is asked for.
    pub fn pieces(&self) -> impl Iterator<Item = Vec<u8>> + Send {
        let mut from = 0;
        std::iter::from_fn(move || {
            let piece = self.copy(from, PIECE_BYTES);
            from += piece.len();
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// The first bytes of it.
    pub fn beginning(&self, at_most: usize) -> Vec<u8> {
        self.copy(0, at_most)
    }

    fn copy(&self, from: usize, at_most: usize) -> Vec<u8> {
        // When the script is gone nobody will ever know what it had to say.
        if self.lua.try_upgrade().is_none() {
            return Vec::new();
        }
        let bytes = self.text.as_bytes();
        let rest = bytes.get(from..).unwrap_or_default();
        rest[..rest.len().min(at_most)].to_vec()
    }
}
