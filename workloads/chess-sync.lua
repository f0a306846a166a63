-- Judit Polgár gives an exhibition: she plays each game to its end before the next one.
local board = async(function(p)
  for _ = 1, p.moves do
    block(p.think)         -- she thinks and moves
    block(p.reply)         -- she waits at the board until the opponent has moved
  end
end)

return {
  title  = "Chess, one game at a time",
  lesson = "She waits at the board for every reply. 24 games of 30 minutes take 12 hours.",
  clock  = "virtual",
  params = {
    opponents = { default = 24, min = 1, max = 10000, help = "number of boards, one opponent each" },
    moves = { default = 30, min = 1, max = 1000, help = "pairs of moves per game" },
    think = { default = "5s", min = "1ms", max = "1h", help = "time the player thinks about a move" },
    reply = { default = "55s", min = "1ms", max = "1h", help = "time an opponent takes to reply" },
  },
  expects = { findings = { "blocked-loop" } },
  main = async(function(p)
    for number = 1, p.opponents do
      await(board(p))
      print("game " .. number .. " is over at " .. clock())
    end
  end),
}
