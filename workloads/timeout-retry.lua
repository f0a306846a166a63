-- Slow at first, faster with every attempt.
local request = async(function(attempt)
  await(sleep(8 / attempt))
  return "answered"
end)

local patiently = async(function(p)
  local pause = p.pause
  for attempt = 1, p.attempts do
    local in_time, answer = pcall(function() return await(timeout(p.patience, request(attempt))) end)
    if in_time then return { answer = answer, attempt = attempt, seconds = now() } end
    print("attempt " .. attempt .. " gave up at " .. now() .. " s, and waits " .. pause .. " s")
    await(sleep(pause))
    pause = pause * 2                       -- exponential backoff
  end
  fail("no answer in " .. p.attempts .. " attempts")
end)

return {
  title  = "Timeout and retry",
  lesson = "timeout cancels a request that takes too long, so no task is left behind. Exponential backoff gives the "
        .. "server time.",
  clock  = "virtual",
  params = {
    attempts = { default = 5, min = 1, max = 100, help = "maximum number of attempts" },
    patience = { default = "3s", min = "1ms", max = "1h", help = "timeout of each attempt" },
    pause = { default = "1s", min = "1ms", max = "1h", help = "first pause between two attempts" },
  },
  expects = { findings = {} },
  main = async(function(p) return await(patiently(p)) end),
}
