local done = 0

local drop = async(function()
  await(yield_now())
  done = done + 1
end)

return {
  title  = "A storm of tasks",
  lesson = "A task is cheap: a thousand of them start, take turns and end in one moment of loop time.",
  clock  = "virtual",
  params = { tasks = { default = 1000, min = 1, max = 100000, help = "how many tasks are spawned at once" } },
  expects = { findings = {} },
  main = async(function(p)
    local tasks = {}
    for i = 1, p.tasks do tasks[i] = create_task(drop()) end
    for _, task in ipairs(tasks) do await(task) end
    return done
  end),
}
