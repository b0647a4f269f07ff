/** Topics under a roof: the kitchen, games, stories, music. */
import { lexicon, type Family } from './types.js';

export const kitchen: Family = {
  shared: lexicon(
    `recipe, oven, butter dish, pan, egg, kitchen scale, lemon, spoon, timer, bowl, sugar, sauce, cheese, tin, knife,
     spice, apron, freezer, guest, grandmother`,
    `follow an old recipe, halve the amounts, weigh everything, bring it to the party, keep it fresh for a week,
     melt the butter, grate the cheese, cook for eight guests, use up the eggs, clean the oven`,
    `the top burns before the middle is done, it tastes of nothing, everything sticks to the pan, it came out dry,
     the oven runs too hot, the guests left half of it, I had no eggs left, the bottom is soggy`,
    `Ferrand pan, Aunt Olga cookbook, Bellini mixer, Sunday Kitchen`,
  ),
  topics: {
    cooking: lexicon(
      `soup, onion, stew, garlic, rice, stock, chicken, curry, pot, salad, pepper, roast, noodle, wok, chilli, lamb,
       bean stew, frying pan, herb, marinade, gravy, pressure cooker, lentil, mussel, risotto, coriander, cast iron pot,
       dumpling`,
      `chop the onions, simmer the stock, sear the meat, season a cast iron pan, stir the risotto, roast a chicken,
       thicken the gravy, marinate it over night, fry the garlic, peel the potatoes, cook rice without a lid, reduce the sauce,
       make a curry from scratch, steam the mussels, sharpen the kitchen knife`,
      `the garlic burned, the rice is mush, the stew is too salty, the sauce split, the meat is tough as leather,
       the curry is far too hot, the potatoes fell apart, the soup is thin, the kitchen is full of smoke,
       the chicken was raw inside, the beans stay hard`,
      `Kerala curry, Dutch oven, Hunan pepper, Savoy stew, Marrakesh lamb, Tanaka knife, Basque chicken`,
    ),
    baking: lexicon(
      `bread, dough, flour, cake, yeast, sourdough starter, crust, loaf, pie, biscuit, baking tray, crumb, icing, pastry,
       muffin, whisk, rye loaf, rolling pin, baking powder, vanilla, croissant, sponge, proofing basket, brownie, scone,
       macaron, meringue, stand mixer`,
      `knead the dough, feed the starter, let it rise over night, fold in the egg whites, roll out the pastry, ice the cake,
       shape a loaf, score the crust, sift the flour, blind bake the base, whip the cream, proof it in the fridge,
       line the tray with paper, cool it on a rack, bake a rye loaf`,
      `the dough does not rise, the crust is pale, the cake sank in the middle, the starter smells of paint, the loaf is flat,
       the pastry shrinks, the biscuits spread into one, the crumb is dense, the icing runs off, the dough sticks to my hands,
       the meringue weeps`,
      `Vienna loaf, Borodin rye, Windmill flour, Chelsea bun, Linz tart, Old Tom starter, Alpine sponge`,
    ),
  },
};

export const games: Family = {
  shared: lexicon(
    `game, opponent, club evening, tournament, rule, move, beginner, table, player, partner, trick, clock, evening,
     score sheet, strategy, blunder, champion, online game, draw, lesson`,
    `play against my brother, learn the rules, win at the club, think two moves ahead, prepare for the tournament,
     teach a beginner, keep score, read the opponent, play online at night, analyse the game`,
    `I lose every time, my partner blames me, the clock ran out, the opponent takes an hour, nobody knows the rule,
     I made the same blunder again, we had to call the referee`,
    `Hastings club, Open Cup, Grandfather rule, Capital League`,
  ),
  topics: {
    chess: lexicon(
      `queen, rook, bishop, opening, endgame, knight, pawn, king, board, rating, checkmate, gambit, castle, sacrifice,
       middlegame, grandmaster, blitz game, pin, fork, passed pawn, stalemate, file, puzzle, diagonal, variation,
       computer engine, zugzwang, promotion`,
      `castle early, sacrifice the exchange, study rook endings, trade queens, promote a pawn, solve ten puzzles a day,
       play the gambit as black, defend a cramped position, pin the knight, open the centre, force a stalemate,
       attack the castled king, memorise an opening, develop the bishop, raise my rating`,
      `I hang a piece every game, my king gets stuck in the centre, the rook ending was lost, I forget the opening,
       my rating fell by a hundred, the knight fork got me, I missed mate in two, the pawn could not be stopped,
       the engine says it was even, my bishop is locked in, I offered the draw too soon`,
      `Sorensen Gambit, Baku Variation, Petrov ending, Queen's Pawn, Lisbon Defence, Immortal Game, Fritsche engine`,
    ),
    cards: lexicon(
      `hand, deck, trump, bid, ace, joker, suit, bluff, dealer, pot, diamond, chip, poker night, spade, bridge club,
       discard, shuffle, rummy, pair of kings, jack, cribbage board, full house, canasta, contract, ante, whist drive,
       solitaire, void`,
      `shuffle the deck, bid on a weak hand, hold the ace back, call a bluff, lead a low diamond, count the trumps,
       deal seven cards, fold before the river, draw for partners, finesse the queen, go out in rummy, raise the pot,
       signal a strong suit, cut the pack, keep a poker face`,
      `I never get dealt an ace, my partner bids too high, the deck has two jokers missing, he bluffs on every hand,
       we went down three tricks, I cannot count trumps, the pot was split, someone marked the deck,
       I folded the best hand, the suit broke badly, we argue about the bid`,
      `Monaco deck, Red Lion whist, Stayman bid, River Queen poker, Lucky Seven casino, Old Maid rule, Acol contract`,
    ),
  },
};

export const stories: Family = {
  shared: lexicon(
    `plot, ending, hero, story, review, villain, sequel, scene, twist, series, writer, fan, chapter, character, title,
     love story, spoiler, trilogy, mystery, dialogue`,
    `guess the ending, explain the plot, recommend something like it, avoid the spoilers, find the sequel,
     remember the title, follow the story, write a fair review, wait for part two, talk about the twist`,
    `the ending makes no sense, I saw the twist coming, the hero is dull, the villain steals the show, the sequel is a mess,
     nothing happens for an hour, too many characters turn up, the love story feels forced`,
    `Harbour Lights, Winter King, Long Way Down, Glass Orchard`,
  ),
  topics: {
    films: lexicon(
      `film, director, actor, cinema, screen, camera work, soundtrack, trailer, actress, remake, popcorn, western,
       subtitle, stunt, cast, horror film, black and white print, matinee, comedy, festival, special effect, close up,
       projector, oscar, screenplay, documentary, cameo, cut`,
      `watch it on a big screen, see the director's cut, catch the late show, cast an unknown actor, dub the film,
       sit through the credits, compare it with the remake, get tickets for the premiere, shoot it in one take,
       rent the old western, restore the print, score the final scene, skip the trailer, win an oscar, stream it at home`,
      `the sound in the cinema was awful, the lead actor mumbles, the remake ruins it, the subtitles are wrong,
       it runs for three hours, the effects look cheap, someone talked through the film, the trailer shows everything,
       the print was scratched, they cut the best scene, the child actors are wooden`,
      `Midnight Tram, Rialto cinema, Lumen Festival, Captain Vasco, Dust Riders, Odessa Nights, Blue Corridor`,
    ),
    books: lexicon(
      `book, novel, author, library, page, shelf, paperback, reading group, poem, cover, publisher, short story,
       translation, narrator, edition, bookshop, memoir, first sentence, e reader, biography, footnote, poetry collection,
       prologue, hardback, spine, index, bookmark, anthology`,
      `read it in one night, borrow it from the library, finish the first chapter, translate the poems, join a reading group,
       reread the whole novel, collect first editions, listen to the audiobook, lend my copy, skip the footnotes,
       publish a memoir, meet the author, sort my shelves, read aloud to the kids, find it in paperback`,
      `the first hundred pages drag, the print is tiny, the translation is stiff, the narrator lies, I lost my place,
       the library has one copy, the pages fall out, the footnotes go on forever, the author never finished it,
       the cover gives it away, my reading group hated it`,
      `Cartographer of Salt, Aldine edition, Northern Poems, Widow of Trieste, Penwell library, House of Reeds, Thorn Diaries`,
    ),
  },
};

export const music: Family = {
  shared: lexicon(
    `chord, scale, teacher, lesson, song, metronome, concert, band, rhythm, left hand, ear, stage, sheet of music,
     practice room, recording, tune, solo, melody, finger, jazz standard`,
    `practise every day, learn the song by ear, play in a band, read music, keep time with a metronome, find a good teacher,
     play scales faster, record a demo, get over stage fright, memorise the second part`,
    `my fingers are too slow, I lose the beat, the neighbours complain, it sounds out of tune, my left hand hurts,
     I freeze on stage, the recording is full of noise, the teacher cancels each week`,
    `Blue Room concert, Dorian method, Harlow music shop, Nocturne night`,
  ),
  topics: {
    guitars: lexicon(
      `guitar, string, amp, pick, fret, neck, pedal, strap, bass, pickup, capo, riff, tuner, bridge, distortion, acoustic,
       tuning peg, barre chord, fingerboard, twelve string, humming cable, slide, whammy bar, nylon string, luthier,
       truss rod, tablature, power chord`,
      `change the strings, play a barre chord, lower the action, bend a string, solder the pickup, tune down half a step,
       strum with a pick, adjust the truss rod, file the frets, plug into an old amp, play fingerstyle, learn the riff,
       set up a pedal board, restring a twelve string, mic the amp`,
      `the top string buzzes, the amp hums, it will not stay in tune, my fingertips are sore, the neck is bowed,
       the pickup crackles, I keep dropping the pick, the barre chord sounds dead, the strap came off on stage,
       the frets are worn, the distortion turns to mud`,
      `Calloway Jumbo, Redwood amp, Sierra bass, Fuzzlord pedal, Granada classical, Telstar pickup, Mulholland twelve`,
    ),
    pianos: lexicon(
      `piano, key, grand, upright, sonata, tuner, sustain pedal, bench, prelude, hammer, digital piano, keyboard, right hand,
       fugue, sight reading, waltz, arpeggio, soundboard, felt, exam piece, octave, recital, duet, black key, tuning pin,
       lid, touch, metronome mark`,
      `move an upright, tune a piano, play a fugue, sight read a sonata, use the sustain pedal, weigh down the keys,
       pass the grade five exam, voice the hammers, practise with headphones, stretch over an octave, accompany a singer,
       regulate the action, trill with weak fingers, play hands together, restore an old grand`,
      `one key sticks, the sustain pedal squeaks, the upright will not hold its tuning, my octaves are uneven,
       the felt is eaten by moths, the touch is too light, I cannot play hands together, the digital piano sounds thin,
       a hammer broke, the soundboard cracked, the movers dropped it on the stairs`,
      `Steinmann grand, Clavia P90, Lenz sonata, Vesper prelude, Hoffner upright, Czerny book, Conservatory exam`,
    ),
  },
};
