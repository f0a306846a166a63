local function say(...) print(string.format("%.1f", now()), ...) end
local function finally(cleanup) return setmetatable({}, { __close = cleanup }) end
local main

local numbers = async_generator(function(yield)
  local _ <close> = finally(function()
    say("closing")
    await(sleep(2))
    say("closed")
  end)
  for number = 0, 99 do
    yield(number)
    await(sleep(1))
  end
end)

main = async(function()
  for number in each(numbers()) do
    say(number)
    if number == 2 then break end
  end
  say("done")
end)

return { title = "generator-aclose", lesson = "The twin of 28-generator-aclose.py.", main = async(function() return await(main()) end) }
