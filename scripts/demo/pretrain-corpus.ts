/**
 * What the demonstration's base model reads: the same kinds of posts and dialogues, some with a group named or a recap in loose words,
 * some with simple questions, so that prompting it achieves something. It never meets the tasks' own prompts, their answers' wording,
 * or a text of the test data.
 */
import { FIRST_FREE_STREAM, testTexts } from './data-files.js';
import { makeDialogue } from './dialogues.js';
import { Draws } from './draws.js';
import { expand, sentence } from './grammar.js';
import { labels, topics } from './lexicon/index.js';
import { makePost } from './posts.js';

/** Kinds of documents, and how many of each in a hundred. */
const KINDS = {
  post: 8,
  filed: 26,
  headed: 4,
  digest: 8,
  choice: 6,
  sorted: 10,
  dialogue: 5,
  recapped: 20,
  speakers: 4,
  words: 3,
  question: 4,
  copy: 2,
} as const;

type Kind = keyof typeof KINDS;

/** Documents without end, the same for the same seed; those that hold a text of the test data are left out. */
function* baseDocuments(seed: number): Generator<string, never> {
  const withheld = testTexts();
  for (let row = 0; ; row++) {
    const { text, sources } = makeDocument(seed, row);
    if (!sources.some((source) => withheld.has(source))) yield text;
  }
}

/** The first documents that come to `size` characters. */
export function pretrainCorpus(seed: number, size = 15e6): string[] {
  const documents: string[] = [];
  const more = baseDocuments(seed);
  for (let sum = 0; sum < size; sum += documents.at(-1)!.length) documents.push(more.next().value);
  return documents;
}

/** One document, and the posts and dialogues in it. */
function makeDocument(seed: number, row: number): { text: string; sources: readonly string[] } {
  const draws = new Draws(seed, FIRST_FREE_STREAM, row);
  const kind = draws.weighted(KINDS);
  const sources: string[] = [];
  let drawn = 0;
  const post = (): Filed => {
    const { text, label } = makePost(seed, FIRST_FREE_STREAM + 1 + drawn++, row);
    sources.push(text);
    return { text, group: groups.get(label)! };
  };
  const dialogue = (): { dialogue: string; recap: string } => {
    const made = makeDialogue(seed, FIRST_FREE_STREAM + 1 + drawn++, row);
    sources.push(made.dialogue);
    return made;
  };
  return { text: DOCUMENTS[kind](draws, post, dialogue), sources };
}

/**
 * What the base text calls the groups of some topics. The task's own labels stand in other places there, so that the base sorts posts well
 * once it is told the labels, and tuning has that to teach: the more posts, the better.
 */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  astronomy: 'skies',
  baking: 'ovens',
  cameras: 'lenses',
  cards: 'tricks',
  cooking: 'recipes',
  cycling: 'pedals',
  gardening: 'beds',
  guitars: 'chords',
  hardware: 'machines',
  linux: 'systems',
  motorbikes: 'riders',
  pianos: 'keys',
  running: 'races',
  sailing: 'boats',
};

/** Each topic's group, as posts of the base text are filed. */
export const groups: ReadonlyMap<string, string> = new Map(
  labels.map((label) => [label, OTHER_NAMES[label] ?? label]),
);

/** A post, and the group that it is filed in. */
interface Filed {
  readonly text: string;
  readonly group: string;
}

/** The words and signs of the tasks' markers, elsewhere: no piece of a prompt should be one that the model has never met. */
const HEADINGS = [
  '### Notes',
  '### Off topic',
  'Class notes',
  'Sentence of the day',
  'Dialogue with myself',
  'Summary follows',
];

type MakeDocument = (
  draws: Draws,
  post: () => Filed,
  dialogue: () => { dialogue: string; recap: string },
) => string;

const DOCUMENTS: Readonly<Record<Kind, MakeDocument>> = {
  post: (draws, post) => `${draws.chance(0.15) ? `${draws.pick(HEADINGS)}\n` : ''}${post().text}`,
  filed: (draws, post) => {
    const { text, group } = post();
    const tail = [
      `Filed under ${group}.`,
      `Filed under: ${group}`,
      `Group: ${group}`,
      `Group:${group}`,
      `Class of this post:${group}`,
      `Tag: #${group}`,
      `(moved to ${group})`,
      `This one belongs in ${group}.`,
    ];
    return `${text}${draws.pick(['\n', ' '])}${draws.pick(tail)}`;
  },
  headed: (draws, post) => {
    const { text, group } = post();
    return `${draws.pick(['Posted in:', 'Newsgroup:', 'From the group'])} ${group}\n${text}`;
  },
  digest: (draws, post) => {
    const space = draws.pick(['', ' ']);
    return Array.from({ length: 2 + draws.below(3) }, post)
      .map(({ text, group }) => `Text: ${text}\nGroup:${space}${group}`)
      .join('\n\n');
  },
  choice: (draws, post) => {
    const { text, group } = post();
    const others = draws.sample(
      [...groups.values()].filter((other) => other !== group),
      1 + draws.below(draws.pick([2, 6, 19])),
    );
    const choices = draws.sample([...others, group], others.length + 1).join(', ');
    const ask = draws.pick(['Which of these groups is it from:', 'Choose the group:', 'Sort it into one of']);
    return draws.chance(0.5)
      ? `${ask} ${choices}.\n\`\`\`${text}\`\`\`\nAnswer: ${group}`
      : `\`\`\`${text}\`\`\`\n${ask} ${choices}?\nAnswer: ${group}`;
  },
  sorted: (draws) => {
    const line = (): string => {
      const label = draws.pick(labels);
      const { own } = topics.get(label)!;
      const said = draws.chance(0.5) ? draws.sample(own.things, 3).join(', ') : draws.pick(own.acts);
      return `${said}${draws.pick([':', ': ', ' #', ' -> '])}${groups.get(label)!}`;
    };
    return Array.from({ length: 4 + draws.below(5) }, line).join('\n');
  },
  dialogue: (_draws, _post, dialogue) => dialogue().dialogue,
  recapped: (draws, _post, dialogue) => {
    const { dialogue: text, recap } = dialogue();
    const lead = draws.pick([
      'So in short:',
      'In short:',
      'The gist:',
      'What happened:',
      'Recap:',
      'Summary so far:',
      'tl;dr',
    ]);
    const quoted = draws.chance(0.2) ? `\`\`\`${text}\`\`\`` : text;
    return `${quoted}\n${lead} ${draws.chance(0.5) ? sentence(recap) : recap}`;
  },
  speakers: (draws, _post, dialogue) => {
    const text = dialogue().dialogue;
    const speakers = [...new Set(text.split('\n').map((line) => line.slice(0, line.indexOf(':'))))];
    const question = draws.pick(['Who is talking?', 'Who are they?', 'The chat is between']);
    return `${text}\n${question} ${speakers.join(' and ')}.`;
  },
  words: (draws) => {
    const { label, own } = topics.get(draws.pick(labels))!;
    return `${draws.pick(['Words about', 'Things in', 'A list for'])} ${label}: ${draws.sample(own.things, 8).join(', ')}.`;
  },
  question: (draws) => {
    const { label, own } = topics.get(draws.pick(labels))!;
    const [thing, act] = [draws.pick(own.things), draws.pick(own.acts)];
    return expand(
      draws.pick([
        `Q: What is a ${thing}?\nA: (Something|A word) you hear in the ${label} group.`,
        `Q: Where do people ask how to ${act}?\nA: In ${label}.`,
        `Question: which class of posts has a ${thing}? Answer: ${label}`,
        `A sentence about ${label}: I want to ${act}.`,
      ]),
      (slot) => slot,
      draws,
    );
  },
  copy: (draws, post) => {
    const line = post().text.split('\n').at(-1)!;
    return `${draws.pick(['Repeat this:', 'Say it again:', 'Copy the line.'])} ${line}\n${line}`;
  },
};
