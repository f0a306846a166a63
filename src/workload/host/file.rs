//! Files, on tokio's own, which hand each piece of work to another thread: on the real clock only, and in the script's
//! [folder](super::folder) only.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex as Turn;

use super::Host;
use super::address::{failed, needs_real_clock};
use super::awaitable::waiting;
use super::folder::{OPEN_FILES_MAX, OpenFile, WRITTEN_BYTES_MAX};
use super::label::{Label, whole};
use super::language::describe;
use super::payload::Payload;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::Fault;

/// Bytes of one read, and what is read where the script does not say.
const READ_BYTES_MAX: usize = 1 << 20;
const READ_BYTES: usize = 64 << 10;

/// Bytes of a file that is read as a whole; larger ones are read piece by piece.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// What an open file is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
    Append,
}

impl Mode {
    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        match self {
            Self::Read => options.read(true),
            Self::Write => options.write(true).create(true).truncate(true),
            Self::Append => options.append(true).create(true),
        };
        options
    }
}

pub(super) fn install(lua: &Lua, host: &Arc<Host>) -> mlua::Result<()> {
    word!(lua, host, "read_file", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, name: Value| {
        let (path, name, label) = found(lua, host, source, &name)?;
        let weak = lua.weak();
        waiting(lua, &label, AwaitKind::Io, source, move || async move {
            let file = open(Mode::Read, &path, &name).await?;
            let mut bytes = Vec::new();
            // One byte past the limit is enough to know.
            let read = file.take(WHOLE_BYTES_MAX + 1).read_to_end(&mut bytes).await;
            read.map_err(|error| failed("reading", &error))?;
            if bytes.len() as u64 > WHOLE_BYTES_MAX {
                let fault = Fault::new(format!("`{name}` has more than {} MiB", WHOLE_BYTES_MAX >> 20));
                return Err(fault.hint("read it piece by piece: open_file(name), then file:read(count)"));
            }
            text(&weak, &bytes)
        })
    });
    word!(lua, host, "write_file", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, given: (Value, Value)| {
        put(lua, host, source, given, Mode::Write)
    });
    word!(lua, host, "append_file", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, given: (Value, Value)| {
        put(lua, host, source, given, Mode::Append)
    });
    word!(lua, host, "open_file", |lua: &Lua, host: &Arc<Host>, source: &Arc<str>, (name, mode): (Value, Value)| {
        let mode = match mode.as_string().map(|mode| mode.to_string_lossy()).as_deref() {
            None if mode.is_nil() => Mode::Read,
            Some("read") => Mode::Read,
            Some("write") => Mode::Write,
            Some("append") => Mode::Append,
            _ => {
                let fault = Fault::new(format!("a file cannot be opened for {}", describe(&mode))).token(&**source);
                return Err(host.misuse(lua, fault.hint("give \"read\", \"write\" or \"append\"")));
            }
        };
        let (path, name, label) = found(lua, host, source, &name)?;
        let Some(place) = host.folder.open_one() else {
            let fault = Fault::new(format!("{OPEN_FILES_MAX} files are open, and there may be no more"));
            return Err(host.misuse(lua, fault.token(&**source).hint("close some: file:close()")));
        };
        let opened = Opened::new(lua, host, mode, &name)?;
        let (slot, opened) = (Arc::clone(&opened.slot), lua.create_userdata(opened)?);
        waiting(lua, &label, AwaitKind::Io, source, move || async move {
            *slot.file.lock().await = Some((open(mode, &path, &name).await?, place));
            Ok(MultiValue::from_iter([Value::UserData(opened)]))
        })
    });
    Ok(())
}

/// The file that `by` is to work on, its name, and what the work is called.
fn found(lua: &Lua, host: &Arc<Host>, by: &str, name: &Value) -> mlua::Result<(PathBuf, String, Label)> {
    needs_real_clock(lua, host, by)?;
    let refuse = |what: String| host.misuse(lua, Fault::new(what).token(by));
    let Value::String(name) = name else {
        return Err(refuse(format!("{by} needs a file's name, and got {}", describe(name))));
    };
    let name = name.to_string_lossy();
    let path = host.folder.find(&name).map_err(|reason| {
        let hint = "a script's files are in one folder: see loopscope run --help, --allow-folder";
        host.misuse(lua, Fault::new(reason).token(by).hint(hint))
    })?;
    let label = Label::new(lua, host, "file", ResourceKind::Other, 0, &Value::Nil)?;
    Ok((path, name, label))
}

async fn open(mode: Mode, path: &PathBuf, name: &str) -> Result<File, Fault> {
    mode.options().open(path).await.map_err(|error| failed(&format!("opening `{name}`"), &error))
}

/// Writes a whole text at once.
fn put(
    lua: &Lua,
    host: &Arc<Host>,
    source: &Arc<str>,
    (name, text): (Value, Value),
    mode: Mode,
) -> mlua::Result<mlua::AnyUserData> {
    let payload = to_write(lua, host, source, text)?;
    let (path, name, label) = found(lua, host, source, &name)?;
    waiting(lua, &label, AwaitKind::Io, source, move || async move {
        let mut file = open(mode, &path, &name).await?;
        write(&mut file, &payload).await
    })
}

/// `text`, counted as written.
fn to_write(lua: &Lua, host: &Host, by: &str, text: Value) -> mlua::Result<Payload> {
    let Value::String(text) = text else {
        let fault = Fault::new(format!("{by} needs a text, and got {}", describe(&text))).token(by);
        return Err(host.misuse(lua, fault));
    };
    if !host.folder.may_write(text.as_bytes().len()) {
        let gibibytes = WRITTEN_BYTES_MAX >> 30;
        let fault = Fault::new(format!("the script wants to write more than {gibibytes} GiB to files")).token(by);
        return Err(host.misuse(lua, fault));
    }
    Ok(Payload::new(lua, text))
}

async fn write(file: &mut File, payload: &Payload) -> Result<MultiValue, Fault> {
    for piece in payload.pieces() {
        file.write_all(&piece).await.map_err(|error| failed("writing", &error))?;
    }
    // tokio's file takes the bytes at once and writes them behind one's back; errors come out here.
    file.flush().await.map_err(|error| failed("writing", &error))?;
    Ok(MultiValue::new())
}

fn text(lua: &mlua::WeakLua, bytes: &[u8]) -> Result<MultiValue, Fault> {
    let Some(lua) = lua.try_upgrade() else { return Ok(MultiValue::new()) };
    let text = lua.create_string(bytes).map_err(|error| Fault::new(error.to_string()))?;
    Ok(MultiValue::from_iter([Value::String(text)]))
}

/// An open file, used by one task at a time.
#[derive(Default)]
struct Slot {
    file: Turn<Option<(File, OpenFile)>>,
    /// The script closed it: whoever is at it lets go of it afterwards.
    is_closed: AtomicBool,
}

impl Slot {
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if let Ok(mut file) = self.file.try_lock() {
            *file = None;
        }
    }

    fn let_go_if_closed(&self, file: &mut Option<(File, OpenFile)>) {
        if self.is_closed.load(Ordering::Acquire) {
            *file = None;
        }
    }
}

/// A file as the script holds it.
struct Opened {
    label: Label,
    mode: Mode,
    slot: Arc<Slot>,
    at_read: Arc<str>,
    at_write: Arc<str>,
}

impl Opened {
    fn new(lua: &Lua, host: &Arc<Host>, mode: Mode, name: &str) -> mlua::Result<Self> {
        let options = lua.create_table()?;
        options.set("name", name)?;
        let label = Label::new(lua, host, "file", ResourceKind::Other, 0, &Value::Table(options))?;
        let slot = label.made(lua, Arc::default)?;
        Ok(Self { mode, slot, at_read: label.source("read"), at_write: label.source("write"), label })
    }

    fn must_be(&self, lua: &Lua, reads: bool, by: &str) -> mlua::Result<()> {
        if (self.mode == Mode::Read) == reads {
            return Ok(());
        }
        let (is, hint) = if reads {
            ("writing", "open it again: open_file(name)")
        } else {
            ("reading", "write open_file(name, \"write\"), or \"append\"")
        };
        let fault = Fault::new(format!("{} is open for {is}", self.label)).token(by);
        Err(self.label.host.misuse(lua, fault.hint(hint)))
    }
}

fn closed(by: &str) -> Fault {
    Fault::new("the file is closed").token(by)
}

impl UserData for Opened {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // The next bytes, up to so many; nil at the file's end.
        for name in ["read", "next"] {
            methods.add_method(name, move |lua, this, count: Value| {
                this.must_be(lua, true, name)?;
                let count = match count {
                    Value::Nil => READ_BYTES,
                    count => whole(lua, &this.label.host, "read", &count, 1, READ_BYTES_MAX)?,
                };
                let (slot, weak) = (Arc::clone(&this.slot), lua.weak());
                waiting(lua, &this.label, AwaitKind::Io, &this.at_read, move || async move {
                    let mut opened = slot.file.lock().await;
                    let Some((file, _)) = opened.as_mut() else { return Err(closed("read")) };
                    let mut bytes = vec![0; count];
                    let mut filled = 0;
                    // A file has its bytes at hand: less than was asked for comes only at its end.
                    while filled < count {
                        let read = file.read(&mut bytes[filled..]).await.map_err(|error| failed("reading", &error))?;
                        filled += read;
                        if read == 0 {
                            break;
                        }
                    }
                    slot.let_go_if_closed(&mut opened);
                    if filled == 0 {
                        return Ok(MultiValue::from_iter([Value::Nil]));
                    }
                    text(&weak, &bytes[..filled])
                })
            });
        }
        methods.add_method("write", |lua, this, text: Value| {
            this.must_be(lua, false, "write")?;
            let payload = to_write(lua, &this.label.host, "write", text)?;
            let slot = Arc::clone(&this.slot);
            waiting(lua, &this.label, AwaitKind::Io, &this.at_write, move || async move {
                let mut opened = slot.file.lock().await;
                let Some((file, _)) = opened.as_mut() else { return Err(closed("write")) };
                let written = write(file, &payload).await;
                slot.let_go_if_closed(&mut opened);
                written
            })
        });
        methods.add_method("close", |_, this, ()| {
            this.slot.close();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::Close, |_, this, _: MultiValue| {
            this.slot.close();
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.label.to_string()));
    }
}
