local function say(...) print(string.format("%.1f", now()), ...) end
local main

local counter = async(function(name)
  for number = 0, 2 do
    say(name, number)
    await(sleep(0))
  end
end)

main = async(function()
  await(gather(counter("a"), counter("b")))
  say("done")
end)

return { title = "sleep-zero", lesson = "The twin of 37-sleep-zero.py.", main = async(function() return await(main()) end) }
