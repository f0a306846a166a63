local function say(...) print(string.format("%.1f", now()), ...) end
local main

local countdown = async_generator(function(yield, start)
  for number = start, 1, -1 do
    await(sleep(1))
    yield(number)
  end
end)

main = async(function()
  for number in each(countdown(3)) do say(number) end
  say("lift-off")
end)

return { title = "generator", lesson = "The twin of 27-generator.py.", main = async(function() return await(main()) end) }
