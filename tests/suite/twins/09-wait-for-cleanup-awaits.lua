local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local slow = async(function()
  local _ <close> = finally(function()
    say("cleaning up")
    await(sleep(3))
    say("clean")
  end)
  await(sleep(60))
end)

main = async(function()
  if not pcall(function() await(timeout(2, slow())) end) then say("timed out") end
end)

return { title = "wait-for-cleanup-awaits", lesson = "The twin of 09-wait-for-cleanup-awaits.py.", main = async(function() return await(main()) end) }
