local function say(...) print(string.format("%.1f", now()), ...) end
local main

local worker = async(function(name, lock)
  do
    local guard <close> = await(lock:lock())
    say(name, "has it")
    await(sleep(1))
  end
  say(name, "left")
end)

main = async(function()
  local lock = mutex()
  await(gather(worker("a", lock), worker("b", lock), worker("c", lock)))
  say(lock:locked())
end)

return { title = "lock", lesson = "The twin of 21-lock.py.", main = async(function() return await(main()) end) }
