-- Three steps; each takes the result of the previous one.
local fetch = async(function(n) await(sleep(random(1, 5))) return { n } end)
local enrich = async(function(list) await(sleep(random(1, 5))) table.insert(list, #list + 1) return list end)
local store = async(function(list) await(sleep(random(1, 5))) return table.concat(list, "-") end)

local chain = async(function(n)
  local fetched = await(fetch(n))        -- runs inline, in this task
  local enriched = await(enrich(fetched))
  local stored = await(store(enriched))
  print("chain " .. n .. " stored " .. stored .. " after " .. now() .. " s")
  return { result = stored, seconds = now() }
end)

return {
  title  = "Concurrent chains",
  lesson = "In a chain each step waits for the previous one; the chains do not wait for each other. "
        .. "Together they take as long as the slowest chain.",
  clock  = "virtual",
  params = {
    chains = { default = 3, min = 1, max = 10000, help = "number of concurrent chains" },
  },
  expects = { findings = {} },
  main = async(function(p)
    local chains = {}
    for n = 1, p.chains do chains[n] = chain(n) end
    return await(gather(chains))
  end),
}
