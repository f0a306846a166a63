local function say(...) print(string.format("%.1f", now()), ...) end
local function bare(message) return (message:gsub("^[%w-]+%.lua:%d+: ", "")) end
local main

local nap = async(function(seconds, breaks)
  await(sleep(seconds))
  if breaks then error("broken", 0) end
  say("finished", seconds)
end)

main = async(function()
  local ok, message = pcall(function()
    await(gather(nap(1, false), nap(2, true), nap(3, false)))
  end)
  if not ok then say("caught", bare(message)) end
  await(sleep(2))
  say("done")
end)

return { title = "gather-exception", lesson = "The twin of 04-gather-exception.py.", main = async(function() return await(main()) end) }
