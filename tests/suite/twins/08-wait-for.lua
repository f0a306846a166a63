local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local slow = async(function(seconds)
  local _ <close> = finally(function() say("leaving") end)
  await(sleep(seconds))
  return "slept"
end)

main = async(function()
  say(await(timeout(2, slow(1))))
  if not pcall(function() await(timeout(2, slow(5))) end) then say("timed out") end
end)

return { title = "wait-for", lesson = "The twin of 08-wait-for.py.", main = async(function() return await(main()) end) }
