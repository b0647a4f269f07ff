/** Names, times and places that posts and dialogues share. */
import { list } from './lexicon/types.js';

export const names = list(
  `Anna, Ben, Carla, David, Emma, Felix, Grace, Henry, Irene, Jack, Karen, Leo, Maria, Nick, Olga, Paul, Rosa, Sam, Tina, Victor,
   Alice, Boris, Clara, Daniel, Ella, Frank, Gina, Hugo, Ivy, Jonas, Kate, Lukas, Mona, Noah, Paula, Oscar, Rita, Simon, Tess, Will,
   Amy, Bruno, Cora, Dennis, Eva, Fred, Hanna, Ian, Julia, Kurt, Lily, Martin, Nina, Omar, Petra, Ralph, Sofia, Tom, Vera, Zoe`,
);

export const days = list('Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday');

export const hours = list('6, 7, 8, 9, 10, 11, noon, 1, 2, 3, 4, 5');

/** Where something happens: with its preposition. */
export const places = list(
  `at the park, at the station, at the library, in the old cafe, at the cinema, at the market, at school, in the office, at the gym,
   at the beach, at the museum, in the garden, at the pool, at the bus stop, at the hotel, in the pub, at the bakery, at the bank,
   at the airport, at the church, at the stadium, in the kitchen, at the theatre, at the lake, at the mall, in the car park,
   at the clinic, at the bridge, at the harbour, in the pizza place, at the book shop, at the castle, in the tea room, at the zoo,
   at the town hall, in the sushi bar, at the campsite, at the post office, in the music hall, at the corner shop`,
);

export const spans = list(
  'a week, two days, three weeks, a month, an hour, half a year, two hours, ten minutes, a few days, years, a whole weekend',
);

export const towns = list(
  `Ashford, Brenton, Carlow, Denby, Elmstead, Farley, Gorton, Hillview, Kingsley, Larkham, Milton, Norwood, Oakham, Preston,
   Quarry Hill, Redfield, Stanton, Upton, Westbury, Yarrow`,
);

/** What people do together: base forms. */
export const activities = list(
  `play tennis, go swimming, watch the match, have lunch, have dinner, go for a walk, see a film, have a coffee, play cards,
   go shopping, visit the exhibition, go to the concert, study for the exam, go dancing, ride bikes, go climbing, have a picnic,
   sing karaoke, go bowling, cook together, play football, go skating, have breakfast, watch the play, go to yoga,
   practise the speech, paint the room, go jogging, see the fireworks, have a beer`,
);

/** What is lent, lost, sold, given and broken. */
export const items = list(
  `tent, drill, bike, camera, laptop, umbrella, jacket, suitcase, guitar, ladder, phone, wallet, scarf, lamp, printer, car, book,
   sofa, desk, fridge, watch, backpack, blender, kettle, notebook, necklace, charger, raincoat, toolbox, helmet, chair, mirror,
   vase, puzzle, blanket, teapot, radio, hammer, violin, sleeping bag`,
);

/** What one does for another: base forms. */
export const favours = list(
  `feed the cat, water the plants, walk the dog, pick up the kids, buy some milk, return the books, fix the sink, print the tickets,
   collect the parcel, book a table, clean the kitchen, drive grandma home, send the report, check the essay, watch the baby,
   bake a cake, call the landlord, take out the bins, move the sofa, order the pizza`,
);

/** Why somebody cannot: what follows 'because'. */
export const reasons = [
  ...[
    'has to work late',
    'has a cold',
    'has an exam',
    'missed the bus',
    'has a headache',
    'is out of town',
    'has no money left',
  ],
  ...[
    'is waiting for the plumber',
    'has a dentist appointment',
    'has visitors',
    'forgot the keys',
    'is too tired',
    'has a meeting',
  ],
  ...['hurt a foot', 'is stuck in traffic', 'is babysitting'],
];

export const news = [
  ...[
    'got the new job',
    'passed the driving test',
    'moved to {town}',
    'got engaged to {C}',
    'won the race',
    'adopted a puppy',
  ],
  ...[
    'passed the exam',
    'is going to study in {town}',
    'had a baby girl',
    'sold the old house',
    'broke up with {C}',
    'quit the job',
  ],
];

export const prices = list(
  '10 euros, 20 euros, 30 euros, 40 euros, 50 euros, 80 euros, 100 euros, 200 euros',
);
