-- A workload: a script that runs on loopscope's event loop while you inspect it.
-- docs/workloads.md describes the language; `loopscope check FILE` checks a script without running it.

-- A coroutine function. Calling it creates a coroutine; nothing runs until you await it or create a task from it.
local greet = async(function(name, pause)
  print("hello, " .. name)
  await(sleep(pause))                    -- other tasks run meanwhile; block(pause) would block the loop
  print("goodbye, " .. name)
  return name
end)

-- Loading the script runs only its top level, which ends with this table.
return {
  title  = "My workload",                -- shown in the list of workloads
  lesson = "Tasks that sleep at the same time take as long as the longest sleep.",
  clock  = "virtual",                    -- or "real": the machine's clock
  params = {                             -- a form on screen, --set NAME=VALUE on the command line
    tasks = { default = 3, min = 1, max = 100, help = "number of tasks that say hello" },
    pause = { default = "1s", min = "1ms", max = "1h", help = "time between hello and goodbye" },
  },
  main = async(function(p)
    local all = {}
    for i = 1, p.tasks do all[i] = create_task(greet("task " .. i, p.pause), { name = "greet-" .. i }) end
    return await(gather(all))            -- the return value of main is the result in the report
  end),
}
