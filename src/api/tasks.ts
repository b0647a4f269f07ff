/** Tasks: prompts, training texts, and how an answer is read. */
export * from '../tasks/index.js';
