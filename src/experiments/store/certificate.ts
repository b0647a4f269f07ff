/** What was found of an exported file, when another reader ran it on rows of the run that it is of: certificate.json. */

import type { Interval, Metric, PairedComparison } from '../../eval/index.js';

/** Who ran the exported file. */
export interface ReaderName {
  /** 'llama.cpp', 'Westwind'. */
  readonly name: string;
  /** With the package or program that brought it. */
  readonly version: string;
  /** It shares no code with what wrote the file. */
  readonly independent: boolean;
}

/** What was exported. */
export interface ExportedFile {
  /** Its name, without the folder. */
  readonly name: string;
  /** As `westwind export --to` names it. */
  readonly format: string;
  /** Of its weights: 'F16', 'Q4_K_M'. */
  readonly type: string;
  readonly bytes: number;
  /** Of the file, or of each file of a folder by its name. */
  readonly sha256: string | Readonly<Record<string, string>>;
}

/** How answers to the certified rows score. */
export interface CertifiedAnswers {
  readonly metrics: Readonly<Record<string, number>>;
  readonly intervals: Readonly<Record<string, Interval>>;
  readonly unanswered: number;
}

/** Rows by what the exported file's own tokenizer cuts their prompts into. */
export interface CertifiedPrompts {
  /** The tokens that the run's tokenizer gives. */
  readonly equal_rows: number;
  /** Others, as the reader is known to cut them. */
  readonly known_rows: number;
  /** Of the first of the rest, the place of the first difference, from 0. */
  readonly first_difference?: { readonly row: number; readonly place: number };
}

/** How a row went, without its texts. */
export interface CertifiedRow {
  /** Its number in the test file, from 0. */
  readonly row: number;
  /** Greedy tokens that are the same from the start on, and whether all are. */
  readonly equal_tokens: number;
  readonly equal: boolean;
  /** Tokens of the reference over which probabilities were compared, and the sums over them, natural logarithms. */
  readonly places: number;
  readonly loss_run: number;
  readonly loss_exported: number;
  readonly kl_divergence: number;
  readonly largest_difference: number;
}

/** The exported file beside the adapter over its base as the run evaluated them. */
export interface Certificate {
  readonly file: ExportedFile;
  readonly run: {
    readonly id: string;
    readonly task: string;
    readonly model: string;
    /** How the base's weights were held: 'NF4'. */
    readonly weights: string;
  };
  readonly reader: ReaderName;
  readonly westwind: string;
  readonly made: string;
  /** Test rows of the task, and how many of them were run. */
  readonly test_rows: number;
  readonly certified_rows: number;
  /** Rows whose greedy tokens are the same; of the first that are not, the place of the first difference, from 0. */
  readonly tokens: {
    readonly equal_rows: number;
    readonly first_difference?: { readonly row: number; readonly place: number };
  };
  /** Absent: the reader has no tokenizer of its own. */
  readonly prompts?: CertifiedPrompts;
  /** Tokens of the references; each was given all before it, and probabilities of the whole vocabulary were compared. */
  readonly places: number;
  /** The largest difference of logits, which are compared as logarithms of probabilities: what all have in common does not count. */
  readonly largest_logit_difference: number;
  /** Mean over the places, natural logarithms: of the run's probabilities from the exported file's. */
  readonly kl_divergence: number;
  /** Of the references. */
  readonly perplexity: { readonly run: number; readonly exported: number };
  readonly metric: Metric;
  /** The run's recorded answers to the certified rows, and the exported file's. */
  readonly run_answers: CertifiedAnswers;
  readonly exported_answers: CertifiedAnswers;
  /** The metric's first figure, row by row: of the exported file less the run. */
  readonly paired: PairedComparison;
  /** Of the run's recorded answers, how many came out again; absent where they were drawn. */
  readonly reproduced_rows?: number;
  /** Why what was exported is not what was evaluated; none: nothing says so. */
  readonly faults: readonly string[];
  /** What a person should know of how it was compared. */
  readonly notes: readonly string[];
  readonly by_row: readonly CertifiedRow[];
}
