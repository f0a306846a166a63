local function say(...) print(string.format("%.1f", now()), ...) end
local main

local worker = async(function(name, lock)
  local guard <close> = await(lock:lock())
  say(name, "has it")
  await(sleep(2))
end)

main = async(function()
  local lock = mutex()
  local a, b, c = create_task(worker("a", lock)), create_task(worker("b", lock)), create_task(worker("c", lock))
  await(sleep(1))
  b:cancel()
  await(wait({ a, b, c }))
  say(b:cancelled(), lock:locked())
end)

return { title = "lock-cancelled-waiter", lesson = "The twin of 22-lock-cancelled-waiter.py.", main = async(function() return await(main()) end) }
