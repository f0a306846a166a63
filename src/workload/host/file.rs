//! Files, based on tokio's, which run each operation on the blocking pool. They need the real clock and are confined to
//! the [`ScriptFolder`](super::script_folder::ScriptFolder).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataMethods, Value};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex as AsyncMutex;

use super::address::{io_fault, require_real_clock};
use super::awaitable::make_tokio_awaitable;
use super::outgoing_text::OutgoingText;
use super::resource_label::{ResourceLabel, whole_number};
use super::script_folder::{OPEN_FILES_MAX, OpenFilePermit, WRITTEN_BYTES_MAX};
use super::script_host::ScriptHost;
use super::values::describe;
use crate::trace::{AwaitKind, ResourceKind};
use crate::workload::fault::ScriptFault;

/// Maximum number of bytes of one `read`.
const READ_BYTES_MAX: usize = 1 << 20;
/// Number of bytes of a `read` without a count.
const READ_BYTES: usize = 64 << 10;

/// Maximum size of a file that `read_file` reads as a whole.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// The mode in which a file is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileMode {
    Read,
    Write,
    Append,
}

impl FileMode {
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

pub(super) fn install(lua: &Lua, host: &Arc<ScriptHost>) -> mlua::Result<()> {
    host_function!(lua, host, "read_file", |lua: &Lua, host: &Arc<ScriptHost>, source: &Arc<str>, name: Value| {
        let (path, name, label) = resolve_file(lua, host, source, &name)?;
        let weak = lua.weak();
        make_tokio_awaitable(lua, &label, AwaitKind::Io, source, move || async move {
            let file = open(FileMode::Read, &path, &name).await?;
            let mut bytes = Vec::new();
            // Reads one byte past the limit to detect a file that is too large.
            let read = file.take(WHOLE_BYTES_MAX + 1).read_to_end(&mut bytes).await;
            read.map_err(|error| io_fault("reading", &error))?;
            if bytes.len() as u64 > WHOLE_BYTES_MAX {
                let fault = ScriptFault::new(format!("`{name}` is larger than {} MiB", WHOLE_BYTES_MAX >> 20));
                return Err(fault.hint("read it in chunks: open_file(name), then file:read(count)"));
            }
            lua_string(&weak, &bytes)
        })
    });
    host_function!(lua, host, "write_file", |lua: &Lua,
                                             host: &Arc<ScriptHost>,
                                             source: &Arc<str>,
                                             given: (Value, Value)| {
        write_whole(lua, host, source, given, FileMode::Write)
    });
    host_function!(lua, host, "append_file", |lua: &Lua,
                                              host: &Arc<ScriptHost>,
                                              source: &Arc<str>,
                                              given: (Value, Value)| {
        write_whole(lua, host, source, given, FileMode::Append)
    });
    host_function!(lua, host, "open_file", |lua: &Lua,
                                            host: &Arc<ScriptHost>,
                                            source: &Arc<str>,
                                            (name, mode): (Value, Value)| {
        let mode = match mode.as_string().map(|mode| mode.to_string_lossy()).as_deref() {
            None if mode.is_nil() => FileMode::Read,
            Some("read") => FileMode::Read,
            Some("write") => FileMode::Write,
            Some("append") => FileMode::Append,
            _ => {
                let fault =
                    ScriptFault::new(format!("open_file needs a mode, but got {}", describe(&mode))).token(&**source);
                return Err(host.usage_error(lua, fault.hint("give \"read\", \"write\" or \"append\"")));
            }
        };
        let (path, name, label) = resolve_file(lua, host, source, &name)?;
        let Some(permit) = host.folder.acquire_open_file() else {
            let fault = ScriptFault::new(format!("{OPEN_FILES_MAX} files are open, the limit of a run"));
            return Err(host.usage_error(lua, fault.token(&**source).hint("close some first: file:close()")));
        };
        let opened = ScriptFile::new(lua, host, mode, &name)?;
        let (slot, opened) = (Arc::clone(&opened.slot), lua.create_userdata(opened)?);
        make_tokio_awaitable(lua, &label, AwaitKind::Io, source, move || async move {
            *slot.file.lock().await = Some((open(mode, &path, &name).await?, permit));
            Ok(MultiValue::from_iter([Value::UserData(opened)]))
        })
    });
    Ok(())
}

/// Resolves the file name argument of `by` to a path, the name and a label for the operation.
fn resolve_file(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    by: &str,
    name: &Value,
) -> mlua::Result<(PathBuf, String, ResourceLabel)> {
    require_real_clock(lua, host, by)?;
    let refuse = |what: String| host.usage_error(lua, ScriptFault::new(what).token(by));
    let Value::String(name) = name else {
        return Err(refuse(format!("{by} needs a file name, but got {}", describe(name))));
    };
    let name = name.to_string_lossy();
    let path = host.folder.resolve(&name).map_err(|reason| {
        let hint = "a script can use one folder: see --allow-folder in `loopscope run --help`";
        host.usage_error(lua, ScriptFault::new(reason).token(by).hint(hint))
    })?;
    let label = ResourceLabel::new(lua, host, "file", ResourceKind::Other, 0, &Value::Nil)?;
    Ok((path, name, label))
}

async fn open(mode: FileMode, path: &PathBuf, name: &str) -> Result<File, ScriptFault> {
    mode.options().open(path).await.map_err(|error| io_fault(&format!("opening `{name}`"), &error))
}

/// Creates the awaitable of `write_file` and `append_file`, which write a whole text.
fn write_whole(
    lua: &Lua,
    host: &Arc<ScriptHost>,
    source: &Arc<str>,
    (name, text): (Value, Value),
    mode: FileMode,
) -> mlua::Result<mlua::AnyUserData> {
    let payload = outgoing_text(lua, host, source, text)?;
    let (path, name, label) = resolve_file(lua, host, source, &name)?;
    make_tokio_awaitable(lua, &label, AwaitKind::Io, source, move || async move {
        let mut file = open(mode, &path, &name).await?;
        write(&mut file, &payload).await
    })
}

/// Checks the text argument of `by` and counts its bytes against the run's write limit.
fn outgoing_text(lua: &Lua, host: &ScriptHost, by: &str, text: Value) -> mlua::Result<OutgoingText> {
    let Value::String(text) = text else {
        let fault = ScriptFault::new(format!("{by} needs a string, but got {}", describe(&text))).token(by);
        return Err(host.usage_error(lua, fault));
    };
    if !host.folder.count_written(text.as_bytes().len()) {
        let gibibytes = WRITTEN_BYTES_MAX >> 30;
        let fault =
            ScriptFault::new(format!("the script writes more than {gibibytes} GiB to files, the limit of a run"));
        let fault = fault.token(by);
        return Err(host.usage_error(lua, fault));
    }
    Ok(OutgoingText::new(lua, text))
}

async fn write(file: &mut File, payload: &OutgoingText) -> Result<MultiValue, ScriptFault> {
    for chunk in payload.chunks() {
        file.write_all(&chunk).await.map_err(|error| io_fault("writing", &error))?;
    }
    // tokio's file buffers the bytes and writes them in the background; `flush` returns its errors.
    file.flush().await.map_err(|error| io_fault("writing", &error))?;
    Ok(MultiValue::new())
}

fn lua_string(lua: &mlua::WeakLua, bytes: &[u8]) -> Result<MultiValue, ScriptFault> {
    let Some(lua) = lua.try_upgrade() else { return Ok(MultiValue::new()) };
    let text = lua.create_string(bytes).map_err(|error| ScriptFault::new(error.to_string()))?;
    Ok(MultiValue::from_iter([Value::String(text)]))
}

/// An open file. The lock lets one task use it at a time.
#[derive(Default)]
struct FileSlot {
    file: AsyncMutex<Option<(File, OpenFilePermit)>>,
    /// The script has closed it. A task that is using it drops the file afterwards.
    is_closed: AtomicBool,
}

impl FileSlot {
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        if let Ok(mut file) = self.file.try_lock() {
            *file = None;
        }
    }

    fn drop_if_closed(&self, file: &mut Option<(File, OpenFilePermit)>) {
        if self.is_closed.load(Ordering::Acquire) {
            *file = None;
        }
    }
}

/// The script's handle to an open file.
struct ScriptFile {
    label: ResourceLabel,
    mode: FileMode,
    slot: Arc<FileSlot>,
    read_source: Arc<str>,
    write_source: Arc<str>,
}

impl ScriptFile {
    fn new(lua: &Lua, host: &Arc<ScriptHost>, mode: FileMode, name: &str) -> mlua::Result<Self> {
        let options = lua.create_table()?;
        options.set("name", name)?;
        let label = ResourceLabel::new(lua, host, "file", ResourceKind::Other, 0, &Value::Table(options))?;
        let slot = label.untraced(lua, Arc::default)?;
        Ok(Self {
            mode,
            slot,
            read_source: label.await_source("read"),
            write_source: label.await_source("write"),
            label,
        })
    }

    fn check_mode(&self, lua: &Lua, reads: bool, by: &str) -> mlua::Result<()> {
        if (self.mode == FileMode::Read) == reads {
            return Ok(());
        }
        let (is, hint) = if reads {
            ("writing", "open it again: open_file(name)")
        } else {
            ("reading", "write open_file(name, \"write\"), or \"append\"")
        };
        let fault = ScriptFault::new(format!("{} is open for {is}", self.label)).token(by);
        Err(self.label.host.usage_error(lua, fault.hint(hint)))
    }
}

fn closed_fault(by: &str) -> ScriptFault {
    ScriptFault::new("the file is closed").token(by)
}

impl UserData for ScriptFile {
    lua_type_name!("File");

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Returns the next bytes, at most `count`; nil at the end of the file.
        for name in ["read", "next"] {
            methods.add_method(name, move |lua, this, count: Value| {
                this.check_mode(lua, true, name)?;
                let count = match count {
                    Value::Nil => READ_BYTES,
                    count => whole_number(lua, &this.label.host, "read", &count, 1, READ_BYTES_MAX)?,
                };
                let (slot, weak) = (Arc::clone(&this.slot), lua.weak());
                make_tokio_awaitable(lua, &this.label, AwaitKind::Io, &this.read_source, move || async move {
                    let mut opened = slot.file.lock().await;
                    let Some((file, _)) = opened.as_mut() else { return Err(closed_fault("read")) };
                    let mut bytes = vec![0; count];
                    let mut filled = 0;
                    // Reads until the buffer is full, so that a short result means the end of the file.
                    while filled < count {
                        let read =
                            file.read(&mut bytes[filled..]).await.map_err(|error| io_fault("reading", &error))?;
                        filled += read;
                        if read == 0 {
                            break;
                        }
                    }
                    slot.drop_if_closed(&mut opened);
                    if filled == 0 {
                        return Ok(MultiValue::from_iter([Value::Nil]));
                    }
                    lua_string(&weak, &bytes[..filled])
                })
            });
        }
        methods.add_method("write", |lua, this, text: Value| {
            this.check_mode(lua, false, "write")?;
            let payload = outgoing_text(lua, &this.label.host, "write", text)?;
            let slot = Arc::clone(&this.slot);
            make_tokio_awaitable(lua, &this.label, AwaitKind::Io, &this.write_source, move || async move {
                let mut opened = slot.file.lock().await;
                let Some((file, _)) = opened.as_mut() else { return Err(closed_fault("write")) };
                let written = write(file, &payload).await;
                slot.drop_if_closed(&mut opened);
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
