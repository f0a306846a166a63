-- The functions that must be written in Lua: Lua cannot suspend across a call that goes through Rust.
local raw_pcall, raw_xpcall, to_catchable, is_uncatchable, on_error, enter, suspend, sorted_keys, next_method,
  closing_value, yield_value = ...

-- Propagates stops and reached limits; any other error becomes the message that pcall returns.
local function checked(ok, ...)
  if ok then return true, ... end
  return false, to_catchable((...))
end

-- A coroutine runs inline, on its awaiter's stack; everything else is a Rust future.
local function run_or_suspend(awaited, body, ...)
  if body then return body(...) end
  return suspend(awaited, ...)
end

local function await(awaited) return run_or_suspend(awaited, enter(awaited)) end

return {
  await = await,

  -- Iterates over anything with an awaitable `next`: generators, channels, intervals, as_completed. A generator is
  -- closed when the loop ends.
  each = function(source)
    local next = next_method(source)
    return function()
      local value, more = await(next(source))
      return value, more
    end, nil, nil, closing_value(source)
  end,

  bind_yield = function(target)
    return function(...) return yield_value(target, ...) end
  end,

  run = function(body, ...) return raw_xpcall(body, on_error, ...) end,

  pcall = function(body, ...) return checked(raw_pcall(body, ...)) end,

  xpcall = function(body, handler, ...)
    return checked(raw_xpcall(body, function(fault)
      if is_uncatchable(fault) then return fault end
      return handler(to_catchable(fault))
    end, ...))
  end,

  -- Iterates in sorted order. Lua's own key order differs from run to run.
  pairs = function(subject)
    local keys, at = sorted_keys(subject), 0
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
}
