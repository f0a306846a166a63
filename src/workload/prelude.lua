-- The part of the language that must be Lua itself: what suspends has to be called by Lua, never through Rust.
local raw_pcall, raw_xpcall, caught, is_mine, on_fault, enter, suspend, keys_of, next_of, closer_of,
  hand_over = ...

-- A stop or a reached limit goes on through every pcall; anything else comes out as a plain message.
local function checked(ok, ...)
  if ok then return true, ... end
  return false, caught((...))
end

-- A coroutine runs right here, on its awaiter's stack; everything else is a Rust future to wait for.
local function go(awaited, body, ...)
  if body then return body(...) end
  return suspend(awaited, ...)
end

local function await(awaited) return go(awaited, enter(awaited)) end

return {
  await = await,

  -- Anything with a `next` to await: generators, channels, intervals, as_completed. What can be closed is closed when
  -- the loop is left.
  each = function(source)
    local following = next_of(source)
    return function()
      local value, more = await(following(source))
      return value, more
    end, nil, nil, closer_of(source)
  end,

  bind_reader = function(reader)
    return function(...) return hand_over(reader, ...) end
  end,

  run = function(body, ...) return raw_xpcall(body, on_fault, ...) end,

  pcall = function(body, ...) return checked(raw_pcall(body, ...)) end,

  xpcall = function(body, handler, ...)
    return checked(raw_xpcall(body, function(fault)
      if is_mine(fault) then return fault end
      return handler(caught(fault))
    end, ...))
  end,

  -- Lua's own order of keys changes from run to run; a workload's must not.
  pairs = function(subject)
    local keys, at = keys_of(subject), 0
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
