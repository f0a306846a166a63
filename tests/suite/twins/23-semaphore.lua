local function say(...) print(string.format("%.1f", now()), ...) end
local main

local worker = async(function(number, pool)
  do
    local permit <close> = await(pool:acquire())
    say(number, "begins")
    await(sleep(number))
  end
  say(number, "ends")
end)

main = async(function()
  local pool = semaphore(2)
  await(gather(worker(3, pool), worker(1, pool), worker(1.5, pool), worker(4, pool)))
  say(pool:available() == 0)
end)

return { title = "semaphore", lesson = "The twin of 23-semaphore.py.", main = async(function() return await(main()) end) }
