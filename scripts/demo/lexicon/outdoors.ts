/** Topics under the open sky: on foot and on wheels, in the garden, on the water. */
import { lexicon, type Family } from './types.js';

export const legs: Family = {
  shared: lexicon(
    `route, hill, training plan, watch, water bottle, rain jacket, warm up, knee, race, club, energy bar, pace,
     heart rate strap, sock, headwind, climb, finish line, stretching routine, river path, cramp`,
    `get up the long hill, keep a steady pace, train for the spring race, log every mile, drink enough on a hot day,
     recover after a hard week, pin the number on, find a quiet road, go out before breakfast, enter the town race`,
    `my knees hurt the next morning, I run out of breath on the hill, the watch loses the signal,
     my calves cramp near the end, I cannot hold the pace, the rain jacket leaks, my legs feel like lead`,
    `Ridgeway Loop, Harrow Hill Race, Pulsar watch, Lakeside Relay`,
  ),
  topics: {
    cycling: lexicon(
      `bike, chain, saddle, rear wheel, inner tube, helmet, handlebar, gear, brake lever, pedal, frame, derailleur,
       cassette, gravel bike, pump, bell, pannier, spoke, bottom bracket, turbo trainer, cleat, mudguard, crank,
       bike lane, peloton, seat post, disc rotor, tandem`,
      `change a flat tube, true the rear wheel, oil the chain, raise the saddle, ride to work, adjust the gears,
       bleed the disc brakes, pedal up the pass, fit wider tyres, wrap the bars, lock the bike at the station,
       clip into the pedals, draft behind a group, patch a tube, grease the bottom bracket`,
      `the chain skips under load, the saddle makes me numb, a spoke keeps breaking, the front brake squeals,
       the gears will not shift down, I get a flat every week, the pedal clicks on each turn, a car nearly doored me,
       the chain drops off the small ring, the rear wheel wobbles, my hands go numb on the bars`,
      `Velora 300, Brandt Tourer, Kestrel Gravel, Monte Sella climb, Tour of the Dales, Corvo saddle, Zephyr pump`,
    ),
    running: lexicon(
      `pair of shoes, marathon, half marathon, track, treadmill, long run, interval session, stride, heel, ankle,
       parkrun, tempo run, personal best, sole, trail shoe, cadence, blister, shin, arch, achilles tendon,
       foam roller, starting pen, pacer, cushioning, lap, relay baton, cross country team, taper`,
      `run a marathon, break in new shoes, land on the forefoot, finish under four hours, jog around the park,
       do intervals on the track, tape a blister, run on a treadmill, build up to ten miles, sprint the last lap,
       cool down with a slow jog, follow the pacer, rest a sore shin, shorten my stride, race five kilometres`,
      `my shins ache after every run, the shoes rub at the heel, I hit the wall at mile twenty, my toenails turn black,
       I get a stitch after two laps, my achilles is stiff, the soles wear out on one side, I start too fast,
       the treadmill feels harder than the road, my arches burn, a blister opened on my heel`,
      `Strider Nine, Coastline Marathon, Fleet Pegasus, Old Mill parkrun, Marlow Ten, Tarrant trail shoe, Quickstep insole`,
    ),
  },
};

export const wheels: Family = {
  shared: lexicon(
    `engine, oil filter, battery, tyre, brake pad, garage, mechanic, clutch, spark plug, headlight, fuel tank, exhaust,
     dealer, insurance, test drive, ignition, mileage, gearbox, wiring, toll road`,
    `change the oil, jump start the battery, get it through the inspection, replace the brake pads, sell it with high mileage,
     check the tyre pressure, drive down to the coast, find a cheap insurance, rebuild the engine, bleed the clutch`,
    `it will not start when it is cold, the engine stalls at the lights, oil drips on the floor, the clutch slips,
     the battery is flat every morning, the exhaust rattles, it burns too much fuel, the dealer does not answer`,
    `Ostrava Motors, Route Nine garage, Delmar oil, Hartmann dealer`,
  ),
  topics: {
    cars: lexicon(
      `car, windscreen, boot, estate, diesel, heater, back seat, steering wheel, radiator, bumper, hatchback, wiper,
       child seat, cambelt, tow bar, sunroof, airbag, alternator, wheel arch, parking sensor, roof rack, dashboard,
       electric window, minivan, hand brake, glove box, automatic gearbox, catalytic converter`,
      `park in a narrow street, replace the windscreen, tow a caravan, flush the radiator, fit a roof rack,
       take the kids to school, charge an electric car, hammer out a dent, change the cambelt, clean the seats,
       reverse into the drive, defrost the windows, trade in the old estate, wire up a radio, pass an emissions test`,
      `the heater blows cold air, the warning light stays on, water collects in the boot, the wiper smears,
       the window is stuck halfway, the radiator leaks, the steering pulls to the left, rust shows on the wheel arch,
       the central locking fails, the passenger door does not close, the air conditioning smells`,
      `Lindgren Estate, Avanta 1600, Pacer Diesel, Sorrel hatchback, Meridian V6, Tollard minivan, Castellan coupe`,
    ),
    motorbikes: lexicon(
      `motorbike, rider, leather jacket, twin, throttle, kickstand, visor, fork, pillion seat, sidecar, carburettor,
       cruiser, scooter, swingarm, chain guard, touring bike, full face helmet, twisting road, single, fairing,
       foot peg, glove, panhead, choke, rally, back protector, tank bag, lane split`,
      `ride pillion, lean into a bend, clean the carburettor, pass the riding test, swap the sprockets, wave at other riders,
       sync the carbs, polish the chrome, filter through traffic, buy a proper helmet, kick start a cold twin,
       adjust the fork, tour the mountains on two wheels, drop the bike at a junction, fit crash bars`,
      `the carburettor floods, the visor fogs up in the rain, the fork seals weep, the throttle sticks,
       I dropped it on the gravel, the bike wobbles at speed, the kickstand sinks in the mud, wind lifts my helmet,
       the choke does nothing, my passenger slides off the seat, the drive chain is loose again`,
      `Norvik 650, Bandera Twin, Stellan Cruiser, Mosquito 125, Isle Rally, Falk sidecar, Tornado 900`,
    ),
  },
};

export const garden: Family = {
  shared: lexicon(
    `hedge, lawn, tree, pond, fence, back yard, seed, berry bush, spring, frost, wild corner, squirrel, cat, shed,
     bird bath, worm, old oak, meadow, berry, ivy`,
    `keep the cat away, put out water in a frost, leave a wild corner, plant a hedge, clean the pond,
     sit in the yard at dawn, stop the squirrel, note the first day of spring, trim the ivy, scatter seed`,
    `the cat gets at everything, the squirrel eats the seed, the pond froze over, a late frost came,
     the berries are gone in a day, the neighbour cut the hedge, the fence blew down`,
    `Green Acre trust, Millbrook reserve, Hollow Oak centre, Dawn Survey`,
  ),
  topics: {
    gardening: lexicon(
      `tomato, bed, compost heap, rose, greenhouse, soil, spade, weed, bulb, seedling, pruning saw, courgette, mulch,
       watering can, slug, bean pole, potting mix, perennial, allotment, dahlia, lettuce, raised bed, clematis, hoe,
       leek, rhubarb, trellis, aphid`,
      `prune the roses, turn the compost, sow lettuce indoors, dig over the bed, water the tomatoes, harden off seedlings,
       divide the perennials, mow the lawn, mulch under the shrubs, keep slugs off the beans, plant bulbs in autumn,
       graft an apple tree, test the soil, tie up the beans, lift the potatoes`,
      `the leaves turn yellow, slugs eat every seedling, the soil is heavy clay, the tomatoes split, weeds come back in a week,
       the roses have black spots, nothing sprouts in the tray, aphids cover the beans, the compost smells,
       the clematis does not bloom, mildew got the courgettes`,
      `Ruby Dawn tomato, Saint Clare rose, Purple King bean, Walden spade, Early Nantes carrot, Bishop dahlia, Thornbury plum`,
    ),
    birds: lexicon(
      `robin, feeder, nest box, pair of binoculars, sparrow, owl, finch, song, flock, hide, woodpecker, heron, swift, tit,
       hawk, field guide, warbler, clutch of eggs, gull, nest, blackbird, crane, migration, plumage, kingfisher, wader,
       ringing station, fledgling`,
      `identify a small brown bird, hang up a feeder, watch the cranes arrive, count the nests, learn the songs by ear,
       spot an owl at dusk, ring young swifts, scan the mud for waders, keep a life list, put up a nest box,
       follow the migration, feed fat balls in winter, tell a hawk from a falcon, record the dawn song, help a fallen chick`,
      `the sparrows have vanished, a hawk sits by the feeder, the nest box stays empty, gulls chase everything off,
       the robin attacks the window, I cannot tell the warblers apart, the owl calls all night, a chick fell from the nest,
       the flock left early, pigeons empty the feeder, the heron is stalking the frogs`,
      `Aldersea marsh hide, Lapwing Society, Vireo 8x42, Penrose field guide, Saltholm warbler, Grey Point count, Nightjar Week`,
    ),
  },
};

export const water: Family = {
  shared: lexicon(
    `boat, harbour, tide, anchor, knot, jetty, life jacket, storm, wave, lake, outboard motor, hull, island, dinghy,
     weather forecast, rope, skipper, oar, current, buoy`,
    `launch the boat, read the tide table, wait for calm weather, tie a bowline, moor at the jetty, drop the anchor,
     start the outboard, bail out the dinghy, row across the bay, leave harbour at dawn`,
    `the anchor drags, water comes in at the stern, the outboard coughs and dies, the wind turned against us,
     everyone got seasick, the tide left us on the mud, the rope snapped, fog rolled in`,
    `Port Ellis, Gannet Bay, Skerry Island, Harbour Master`,
  ),
  topics: {
    sailing: lexicon(
      `sail, mast, jib, mainsail, keel, rudder, tiller, yacht, regatta, crew, cabin, boom, winch, spinnaker, sheet,
       catamaran, deck, marina, halyard, compass, crossing, genoa, berth, chart, backstay, ketch, self steering gear,
       foul weather suit`,
      `hoist the mainsail, reef in a strong wind, tack up the channel, sand the deck, step the mast, sail across the strait,
       trim the jib, race on Sunday, splice a halyard, plot a course, heave to in a gale, scrub the keel,
       set the spinnaker, charter a yacht, pass the skipper exam`,
      `the jib flaps, the halyard jammed at the top, we lost the wind behind the cape, the boom nearly hit me,
       the winch slips, the mainsail tore along the seam, the boat heels too much, the cabin is damp,
       the rudder hums, the compass is ten degrees off, the keel touched a rock`,
      `Petrel 28, Solent Cup, Cormorant class, Astrid ketch, Halcyon winch, Baltic Crossing, Wayfarer dinghy`,
    ),
    fishing: lexicon(
      `rod, trout, reel, hook, bait, line, net, pike, lure, float, carp, permit, fly, perch, salmon, river bank, tackle box,
       spinner, bass, maggot, weir, eel, leader, waders, ghillie, sinker, ice hole, catch limit`,
      `catch a pike, cast against the wind, tie a dry fly, gut a trout, fish the weir, land a big carp, sharpen the hooks,
       buy a day permit, spool a new line, smoke the catch, release it unharmed, dig worms for bait, drill a hole in the ice,
       net a salmon, bait the hook with corn`,
      `nothing bites all day, the line tangles on the reel, the big one got away, eels steal the bait,
       the hook catches in the weeds, the permit costs too much, the reel jams, the trout ignore my flies,
       the float goes under the branches, a heron took my catch, the rod tip broke`,
      `Calder 240 rod, Silver Doctor fly, Tarn Valley fishery, Minnow King, Loch Avon permit, Browning reel, Old Nessa pike`,
    ),
  },
};
