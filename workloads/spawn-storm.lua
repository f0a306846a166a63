local done = 0

local drop = async(function()
  await(yield_now())
  done = done + 1
end)

return {
  title  = "A storm of tasks",
  lesson = "Tasks are cheap: a thousand tasks start, yield once and end without any loop time passing.",
  clock  = "virtual",
  params = { tasks = { default = 1000, min = 1, max = 100000, help = "number of tasks spawned at once" } },
  expects = { findings = {} },
  main = async(function(p)
    local tasks = {}
    for i = 1, p.tasks do tasks[i] = create_task(drop()) end
    for _, task in ipairs(tasks) do await(task) end
    return done
  end),
}
