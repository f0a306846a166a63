-- Judit Polgár gives an exhibition: one table at a time, each game played to its end.
local board = async(function(p)
  for _ = 1, p.moves do
    block(p.think)         -- she thinks and moves
    block(p.reply)         -- and sits there until the opponent has moved
  end
end)

return {
  title  = "Chess, one table at a time",
  lesson = "She waits at each table for every answer. 24 games of 30 minutes come to 12 hours.",
  clock  = "virtual",
  params = {
    opponents = { default = 24, min = 1, max = 10000, help = "boards, one opponent each" },
    moves = { default = 30, min = 1, max = 1000, help = "pairs of moves in a game" },
    think = { default = "5s", min = "1ms", max = "1h", help = "how long the player thinks about a move" },
    reply = { default = "55s", min = "1ms", max = "1h", help = "how long an opponent takes to answer" },
  },
  expects = { findings = { "blocked-loop" } },
  main = async(function(p)
    for number = 1, p.opponents do
      await(board(p))
      print("game " .. number .. " is over at " .. clock())
    end
  end),
}
