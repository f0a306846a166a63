-- The functions that must be written in Lua: Lua cannot suspend across a call that goes through Rust.
local host = ...
local enter, suspend, enter_handler, leave_handler = host.enter, host.suspend, host.enter_handler, host.leave_handler
local raw_pcall, raw_xpcall, rawequal, rawget = host.raw_pcall, host.raw_xpcall, host.raw_rawequal, host.raw_rawget
local setmetatable, sorted_keys = host.raw_setmetatable, host.sorted_keys

-- Propagates stops, cancels and reached limits; any other error becomes the message that pcall returns.
local function checked(ok, ...)
  leave_handler()
  if ok then return true, ... end
  return false, host.to_catchable((...))
end

-- Returns a cancel; any other error propagates.
local function caught(ok, ...)
  leave_handler()
  if ok then return true, ... end
  local message, cancel = host.cancel_parts((...))
  if message == nil then host.raw_error((...), 0) end
  return false, message, cancel
end

-- A coroutine runs inline, on its awaiter's stack; everything else is a Rust future.
local function run_or_suspend(awaited, body, ...)
  if body then return body(...) end
  return suspend(awaited, ...)
end

local function await(awaited) return run_or_suspend(awaited, enter(awaited)) end

-- Closes a generator at the end of a loop over it, and waits until its body has ended.
local closing = { __close = function(closed) await(closed.generator:aclose()) end }

local function closing_value(source)
  return host.is_generator(source) and setmetatable({ generator = source }, closing) or nil
end

-- The keys that `next` iterates over: those of the table of its last call.
local cursor = setmetatable({}, { __mode = "v" })
local cursor_keys, cursor_at = {}, 0

local function next_key(subject, key)
  if key == nil or not rawequal(cursor.subject, subject) or not rawequal(cursor_keys[cursor_at], key) then
    cursor.subject, cursor_keys, cursor_at = subject, sorted_keys(subject, "next"), 0
    while key ~= nil and not rawequal(cursor_keys[cursor_at], key) do
      cursor_at = cursor_at + 1
      if cursor_keys[cursor_at] == nil then host.unknown_key(key) end
    end
  end
  while true do
    cursor_at = cursor_at + 1
    local found = cursor_keys[cursor_at]
    if found == nil then return nil end
    local value = rawget(subject, found)
    if value ~= nil then return found, value end
  end
end

-- Numbers for `%p`, in the order in which they are asked for. The table of strings is bounded, because a weak table
-- keeps them: when it is full, it starts again, and the strings get new numbers.
local numbers, number_count = setmetatable({}, { __mode = "k" }), 0
local string_numbers, string_count, STRINGS_MAX = {}, 0, 10000

local function number_of(value)
  local numbered = numbers
  if host.raw_type(value) == "string" then
    if string_numbers[value] == nil then
      if string_count == STRINGS_MAX then string_numbers, string_count = {}, 0 end
      string_count = string_count + 1
    end
    numbered = string_numbers
  end
  if numbered[value] == nil then
    number_count = number_count + 1
    numbered[value] = number_count
  end
  return host.raw_format("0x%08x", numbered[value])
end

local has_address = { table = true, ["function"] = true, thread = true, userdata = true }

-- Returns whether a memory address may be formatted: that of an object, or with `%p` that of a string.
local function may_show_address(text, arguments)
  for at = 1, arguments.n do
    if has_address[host.raw_type(arguments[at])] then return true end
  end
  return host.raw_find(text, "%%[%-+ #0%d%.]*p") ~= nil
end

-- Replaces what would be formatted as a memory address.
local function format(text, ...)
  if host.raw_type(text) ~= "string" then return host.raw_format(text, ...) end
  local arguments, at = { n = host.raw_select("#", ...), ... }, 0
  if not may_show_address(text, arguments) then return host.raw_format(text, ...) end
  local replaced = host.raw_gsub(text, "%%([%-+ #0]*%d*%.?%d*)(.)", function(options, kind)
    if kind == "%" then return nil end
    at = at + 1
    local argument = arguments[at]
    local of = host.raw_type(argument)
    if kind == "s" and has_address[of] then
      arguments[at] = host.to_text(argument)
    elseif kind == "p" and (has_address[of] or of == "string") then
      arguments[at] = number_of(argument)
      return "%" .. options .. "s"
    end
    return nil
  end)
  return host.raw_format(replaced, host.raw_unpack(arguments, 1, arguments.n))
end

return {
  await = await,

  -- Iterates over anything with an awaitable `next`: generators, channels, intervals, as_completed. A generator is
  -- closed when the loop ends.
  each = function(source)
    local next = host.next_method(source)
    return function()
      local value, more = await(next(source))
      return value, more
    end, nil, nil, closing_value(source)
  end,

  bind_yield = function(target)
    return function(...) return host.yield_value(target, ...) end
  end,

  run = function(body, ...) return raw_xpcall(body, host.on_error, ...) end,

  pcall = function(body, ...)
    enter_handler()
    return checked(raw_pcall(body, ...))
  end,

  catch_cancelled = function(body, ...)
    enter_handler()
    return caught(raw_pcall(body, ...))
  end,

  xpcall = function(body, handler, ...)
    enter_handler()
    return checked(raw_xpcall(body, function(fault)
      if host.is_uncatchable(fault) then return fault end
      return handler(host.to_catchable(fault))
    end, ...))
  end,

  -- Iterates in sorted order. Lua's own key order differs from run to run.
  pairs = function(subject)
    local keys, at = sorted_keys(subject, "pairs"), 0
    return function()
      while true do
        at = at + 1
        local key = keys[at]
        if key == nil then return nil end
        local value = subject[key]
        if value ~= nil then return key, value end
      end
    end, subject, nil
  end,

  next = next_key,
  format = format,
  less = function(a, b) return a < b end,
}
