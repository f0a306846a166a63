-- A workload: a program that runs on loopscope's event loop while you watch.
-- What it may say is in docs/workloads.md; `loopscope check FILE` reads it and runs nothing.

-- A coroutine function. Calling it runs nothing; awaiting what it gives does, and so does making it a task.
local greet = async(function(name, pause)
  print("hello, " .. name)
  await(sleep(pause))                    -- others run meanwhile; block(pause) would stop them all
  print("goodbye, " .. name)
  return name
end)

-- Reading the script runs only down to this table.
return {
  title  = "My workload",                -- in the list of workloads
  lesson = "Tasks that sleep together take as long as the one that sleeps longest.",
  clock  = "virtual",                    -- or "real": the machine's own
  params = {                             -- a form on screen, --set NAME=VALUE on the command line
    tasks = { default = 3, min = 1, max = 100, help = "how many say hello" },
    pause = { default = "1s", min = "1ms", max = "1h", help = "how long each stays" },
  },
  main = async(function(p)
    local all = {}
    for i = 1, p.tasks do all[i] = create_task(greet("task " .. i, p.pause), { name = "greet-" .. i }) end
    return await(gather(all))            -- what main returns is the result in a report
  end),
}
