local part = async(function(number, seconds, breaks)
  await(sleep(seconds))
  if breaks then fail("part " .. number .. " is broken") end
  print("part " .. number .. " is done at " .. now() .. " s")
end)

return {
  title  = "All or nothing",
  lesson = "No task outlives its group. If one fails, the others are cancelled and the error is raised where the group "
        .. "is awaited.",
  clock  = "virtual",
  params = { breaks = { default = 3, min = 1, max = 5, help = "which of the five parts fails" } },
  expects = { findings = { "failed-task" } },
  main = async(function(p)
    local parts = {}
    local whole, message = pcall(function()
      await(task_group(function(group)
        for number = 1, 5 do
          parts[number] = group:create_task(part(number, number, number == p.breaks))
        end
      end))
    end)
    print(whole and "all parts are done" or message:gsub("^.-:%d+: ", ""))
    local over = 0
    for _, task in ipairs(parts) do over = over + (task:done() and 1 or 0) end
    return { over = over, seconds = now() }
  end),
}
