/**
 * What the dialogues are about. Turns are `A:` or `B:` and a template; slots keep their phrase throughout a dialogue, so that its summary
 * tells what was said. A `recap` is the same in looser words: what the base model reads, so that it has met the idea, not the task.
 */

export interface Outcome {
  readonly turns: readonly string[];
  readonly summaries: readonly string[];
  readonly recap: string;
}

interface Scenario {
  readonly opening: readonly string[];
  readonly outcomes: readonly Outcome[];
}

/** Slots with a verb in the third person have the first person under the same name with `I`: `{reason}`, `{reasonI}`. */
export const scenarios: readonly Scenario[] = [
  {
    opening: [
      'A: (do you want to|shall we|would you like to) {activity} (on|this) {day}?',
      'B: (sounds good|maybe|oh nice), (where|where exactly|which place)?',
      'A: {place}, (at|around) {hour}',
    ],
    outcomes: [
      {
        turns: ["B: (I'm in|count me in|perfect, I will be there)"],
        summaries: [
          '{A} and {B} will {activity} {place} on {day} at {hour}.',
          '{A} and {B} are going to {activity} on {day} at {hour}. They will meet {place}.',
        ],
        recap: '{B} said yes to {A}, so they {activity} on {day}.',
      },
      {
        turns: [
          "B: (I can't|no chance) on {day}, I {reasonI}",
          'A: (what about|then maybe) {day2}?',
          'B: {day2} (is fine|works for me)',
        ],
        summaries: [
          '{A} and {B} will {activity} {place} on {day2}, because {B} {reason} on {day}.',
          '{A} wants to {activity} with {B} on {day} but {B} {reason}. They will meet on {day2}.',
        ],
        recap: 'not {day}, they moved it to {day2}.',
      },
      {
        turns: [
          "B: (sorry, I can't|I would love to but no), I {reasonI}",
          'A: (too bad|ok), I will ask {C} then',
        ],
        summaries: [
          '{A} wants to {activity} on {day}. {B} cannot come because {B} {reason}. {A} will ask {C}.',
          "{B} can't {activity} with {A} on {day}, because {B} {reason}. {A} will ask {C} instead.",
        ],
        recap: '{B} {reason} and {A} goes with {C}.',
      },
    ],
  },
  {
    opening: [
      'A: (can I|could I|may I) borrow your {item} (for|on) {day}?',
      'B: (what for|why, what happened)?',
      'A: (I want to {activity} with {C}|mine is broken|I am going to {town})',
    ],
    outcomes: [
      {
        turns: [
          'B: (sure|of course), but I need it back (by|on) {day2}',
          'A: (no problem|deal|you will have it)',
        ],
        summaries: [
          '{A} wants to borrow the {item} from {B}. {B} needs it back on {day2}.',
          '{B} will lend {A} the {item}. {A} will return it on {day2}.',
        ],
        recap: '{A} gets the {item} until {day2}.',
      },
      {
        turns: [
          'B: I gave it to {D}',
          'A: (oh no|really)?',
          'B: (just ask|call) {D}, (I think it is free|no big deal)',
        ],
        summaries: [
          "{A} wants to borrow {B}'s {item}, but {D} has it. {A} should ask {D}.",
          '{A} needs a {item}. {B} gave it to {D}.',
        ],
        recap: '{D} has the {item} now.',
      },
      {
        turns: ['B: (sorry|no way), I need it (myself|on {day})', 'A: (ok|I see), I will buy one'],
        summaries: [
          '{B} will not lend {A} the {item}. {A} will buy one.',
          "{A} can't borrow the {item} from {B}, so {A} will buy one.",
        ],
        recap: '{B} keeps the {item} and {A} has to buy one.',
      },
    ],
  },
  {
    opening: [
      "A: (have you seen|did you see|I can't find) my {item}?",
      'B: (no|not today), (when|where) did you have it last?',
    ],
    outcomes: [
      {
        turns: [
          'A: {place} (I think|on {day}|with {C})',
          'B: (wait|hang on), {C} found a {item} {place}',
          'A: (thank god|great), I will call {C}',
        ],
        summaries: [
          '{A} lost the {item} {place}. {C} found it.',
          "{A} can't find the {item}. {C} found it {place}, so {A} will call {C}.",
        ],
        recap: 'the {item} is with {C}.',
      },
      {
        turns: [
          'A: {place} (I think|last night)',
          'B: (go back|call them) and ask',
          'A: (good idea|ok), I will go there on {day}',
        ],
        summaries: [
          '{A} lost the {item} {place} and will go there on {day}.',
          '{A} has lost the {item}. {B} tells {A} to ask {place}.',
        ],
        recap: '{A} goes back to look for the {item}.',
      },
      {
        turns: [
          'A: (no idea|I forgot)',
          'B: (look|check) {place2}, I saw it there',
          'A: (found it|got it)! (you are the best|thanks)',
        ],
        summaries: [
          '{A} was looking for the {item} and found it {place2}.',
          "{A} couldn't find the {item}. {B} saw it {place2}.",
        ],
        recap: '{B} knew that the {item} was {place2}.',
      },
    ],
  },
  {
    opening: ['A: (where are you|are you coming)? (I am|we are) {place}', "B: (sorry|I'm late), I {reasonI}"],
    outcomes: [
      {
        turns: [
          'A: when will you be here?',
          'B: (at|around) {hour}',
          'A: (ok|fine), (I will wait|I get us a drink)',
        ],
        summaries: [
          '{A} is waiting for {B} {place}. {B} is late because {B} {reason} and will be there at {hour}.',
          '{B} {reason} and will meet {A} {place} at {hour}.',
        ],
        recap: '{B} comes late, at {hour}.',
      },
      {
        turns: [
          'A: (so|again)? are you coming at all?',
          'B: no, (go without me|start without me)',
          'A: (ok|pity), {C} is here too',
        ],
        summaries: [
          '{A} and {C} are {place}. {B} is not coming because {B} {reason}.',
          "{B} can't come because {B} {reason}. {A} is {place} with {C}.",
        ],
        recap: '{A} and {C} have to start without {B}.',
      },
    ],
  },
  {
    opening: ['A: (can|could) you {favour} (on|this) {day}? I {reasonI}'],
    outcomes: [
      {
        turns: ['B: (sure|no problem), (what time|when)?', 'A: (at|before) {hour}', 'B: (ok|done)'],
        summaries: [
          '{B} will {favour} on {day} at {hour}, because {A} {reason}.',
          '{A} {reason}. {B} will {favour} for {A} on {day} at {hour}.',
        ],
        recap: '{B} helps out and will {favour}.',
      },
      {
        turns: [
          'B: (sorry|oh), I am not here on {day}',
          'A: (who else|any idea who could do it)?',
          'B: (ask|try) {C}',
        ],
        summaries: [
          '{A} wants {B} to {favour} on {day}. {B} is away and tells {A} to ask {C}.',
          "{B} can't {favour} on {day}. {A} should ask {C}.",
        ],
        recap: 'maybe {C} can do it, {B} is away.',
      },
      {
        turns: [
          'B: again? (I did it last week|it is your turn)',
          'A: I will (buy you|get you) a {item}',
          'B: haha (ok|deal)',
        ],
        summaries: [
          '{B} will {favour} on {day}. {A} will buy {B} a {item}.',
          '{A} asks {B} to {favour} on {day} and will get {B} a {item}.',
        ],
        recap: '{B} does it for a {item}.',
      },
    ],
  },
  {
    opening: [
      "A: (it is|don't forget) {C}'s birthday on {day}",
      'B: (right|oh no, I forgot)! what (do we|should we) give {C}?',
      'A: (maybe a|what about a) {item}?',
    ],
    outcomes: [
      {
        turns: [
          'B: (great idea|perfect), I will (buy|get) it (on {day2}|in {town})',
          'A: (ok|super), I pay half',
        ],
        summaries: [
          '{A} and {B} will give {C} a {item} for the birthday on {day}. {B} will buy it.',
          '{B} will buy a {item} for {C}. The birthday is on {day}.',
        ],
        recap: '{C} gets a {item} from both.',
      },
      {
        turns: ['B: {C} has one, (better a|I would take a) {item2}', 'A: (even better|you are right)'],
        summaries: [
          '{A} and {B} will give {C} a {item2} for the birthday on {day}.',
          "{C}'s birthday is on {day}. {C} has a {item}, so {A} and {B} will buy a {item2}.",
        ],
        recap: 'no {item} for {C}, a {item2}.',
      },
    ],
  },
  {
    opening: [
      'A: (guess what|big news|did you hear)? I {newsI}',
      'B: (wow|what|no way)! (since when|tell me more)',
    ],
    outcomes: [
      {
        turns: [
          "A: (on {day}|last week)! (let's|we should) celebrate {place}",
          'B: (yes|sure), see you at {hour}',
        ],
        summaries: [
          '{A} {news}. {A} and {B} will celebrate {place} at {hour}.',
          '{A} {news} and will meet {B} {place} at {hour} to celebrate.',
        ],
        recap: '{A} {news} and they go out.',
      },
      {
        turns: [
          'A: (on {day}|yesterday), I (told|only told) {D} so far',
          'B: (I am so happy for you|all the best|I hope you are ok)',
        ],
        summaries: ['{A} {news}. {A} told {D} and {B}.', '{A} tells {B} that {A} {news}. {D} knows too.'],
        recap: '{A} {news}, only {D} and {B} know.',
      },
    ],
  },
  {
    opening: [
      'A: (I am selling|do you need) my old {item}',
      'B: (how much|what do you want for it)?',
      'A: {price}',
    ],
    outcomes: [
      {
        turns: ['B: (ok|deal), I (pick it up|come by) on {day}'],
        summaries: [
          '{B} will buy the {item} from {A} for {price} and pick it up on {day}.',
          '{A} is selling the {item} to {B} for {price}. {B} will come on {day}.',
        ],
        recap: 'the {item} goes to {B}.',
      },
      {
        turns: ['B: (too much|hm), I give you {price2}', 'A: (fine|ok, because it is you)'],
        summaries: [
          '{A} wanted {price} for the {item}. {B} will buy it for {price2}.',
          '{A} sells {B} the {item} for {price2}.',
        ],
        recap: 'they agreed on {price2} for the {item}.',
      },
      {
        turns: [
          'B: (no thanks|too much for me), but {C} (wants|is looking for) one',
          'A: (great|ok), I will (write|call) {C}',
        ],
        summaries: [
          '{A} is selling a {item} for {price}. {B} does not want it, but {C} does.',
          "{B} doesn't want {A}'s {item}. {A} will call {C}.",
        ],
        recap: '{C} may want the {item}, {B} does not.',
      },
    ],
  },
  {
    opening: [
      'A: my {item} (is broken|does not work)',
      'B: (again|oh no)? (what happened|since when)?',
      'A: (it fell down {place}|since {day})',
    ],
    outcomes: [
      {
        turns: ['B: {C} can (fix|repair) it', 'A: (really|oh)? I will bring it to {C} on {day2}'],
        summaries: [
          "{A}'s {item} is broken. {C} can fix it, so {A} will see {C} on {day2}.",
          '{A} will bring the broken {item} to {C} on {day2}.',
        ],
        recap: '{C} repairs the {item}.',
      },
      {
        turns: ['B: (you can have|take) mine, I have a new one', 'A: (thank you so much|you are an angel)'],
        summaries: [
          "{A}'s {item} is broken. {B} will give {A} an old one.",
          '{B} will give {A} a {item}, because it is broken.',
        ],
        recap: '{B} has a second {item} for {A}.',
      },
    ],
  },
  {
    opening: ['A: (when|how) (are we|are you) going to {town}?', 'B: (on {day} by|by) {vehicle}'],
    outcomes: [
      {
        turns: [
          'A: (can I|may I) come along?',
          'B: (sure|of course), be {place} at {hour}',
          'A: (great|thanks), (see you|I will bring snacks)',
        ],
        summaries: [
          '{A} and {B} are going to {town} by {vehicle}. They will meet {place} at {hour}.',
          '{B} is going to {town} by {vehicle}. {A} will come along and meet {B} {place} at {hour}.',
        ],
        recap: 'both go to {town}.',
      },
      {
        turns: [
          'A: (I thought|but) {C} wanted to drive',
          'B: {C} {reason}',
          'A: (ok|too bad), I will book (a room|the hotel)',
        ],
        summaries: [
          '{A} and {B} are going to {town} by {vehicle}, because {C} {reason}. {A} will book a room.',
          '{B} is going to {town} by {vehicle}. {C} {reason}.',
        ],
        recap: '{C} {reason}, so it is the {vehicle}.',
      },
    ],
  },
  {
    opening: [
      "A: (about {day}|small change): we (can't|don't) {activity} at {hour}",
      'B: (why|what happened)?',
      'A: {C} {reason}',
    ],
    outcomes: [
      {
        turns: ['B: (so when|new time)?', 'A: {hour2}, (same place|{place})', 'B: (ok|fine with me)'],
        summaries: [
          '{A} and {B} will {activity} at {hour2}, not at {hour}, because {C} {reason}.',
          '{C} {reason}, so {A}, {B} and {C} will {activity} at {hour2}.',
        ],
        recap: 'it starts at {hour2} because of {C}.',
      },
      {
        turns: [
          'B: (shall we cancel|so no {day})?',
          'A: (yes|I am afraid so), maybe next week',
          'B: (pity|ok)',
        ],
        summaries: [
          '{A} and {B} will not {activity} on {day}, because {C} {reason}.',
          '{A} cancels, because {C} {reason}. They may {activity} next week.',
        ],
        recap: 'they called it off because of {C}.',
      },
    ],
  },
];
