/** The certificate of `westwind export`: its options, what is read before anything is written, and its table. */

import type { Command } from 'commander';
import type { Backend } from '../backends/contract.js';
import { figureHeads, mainFigure } from '../eval/index.js';
import {
  certify,
  checkCertificatePlace,
  exportedFile,
  prepareCertificate,
  removeCertificate,
  uncertifiable,
  writeCertificate,
  type Certifying,
  type OpenReader,
} from '../experiments/certify/index.js';
import type { Certificate, CertifiedAnswers } from '../experiments/store/certificate.js';
import { percent, withInterval } from '../experiments/store/results.js';
import { readRun } from '../experiments/store/stored.js';
import { resolveModel } from '../import/resolve.js';
import { isAbort } from '../util/abort.js';
import { UserError } from '../util/errors.js';
import { positiveInteger, type DeviceFlags } from './device.js';
import { say, sayLines, warn } from './output.js';
import { barOf } from './progress.js';
import { tableText } from './table.js';

/** Rows that are run again, of the run's test rows. */
const ROWS = 64;

export interface CertificateFlags extends DeviceFlags {
  readonly certificate: boolean;
  readonly certificateRows: number;
  readonly strict?: boolean;
  /** The base model, where it is not where the run found it. */
  readonly model?: string;
  readonly revision?: string;
}

export function certificateOptions(command: Command): Command {
  return command
    .option('--no-certificate', 'do not run what was exported of a run on its test rows again')
    .option('--certificate-rows <n>', 'how many of the test rows are run', positiveInteger, ROWS)
    .option(
      '--strict',
      'exit code 1 where the certificate says that what was exported is not what was tested',
    );
}

/** What is exported, as far as a certificate is concerned. */
export interface CertifiedExport {
  /** As the command names it. */
  readonly what: string;
  /** Whose task's training it is; absent: of no run. */
  readonly run?: { readonly folder: string; readonly task: string } | undefined;
  readonly path: string;
  readonly format: string;
  readonly type: string;
  /** Absent: what is exported cannot be run alone. */
  readonly open?: OpenReader | undefined;
  readonly flags: CertificateFlags;
  readonly backend: Backend;
  readonly signal: AbortSignal;
}

/** What is to be done when the file is there. */
type Certified = () => void | Promise<void>;

/**
 * Reads what the certificate needs, before anything is exported. Where there will be none, the end says why. Rejects with a UserError where rows, base
 * model or answers are not those of the run any more.
 */
export async function plannedCertificate(exported: CertifiedExport): Promise<Certified> {
  const { what, run, path, open, flags, backend, signal } = exported;
  const without =
    (why?: string): Certified =>
    () => {
      removeCertificate(path);
      if (why !== undefined) warn(`no certificate: ${why}`);
    };
  if (!flags.certificate) return without();
  if (!open) return without('an adapter alone is run over whatever base it is put');
  if (!run) return without(`it is made of a run's test rows, and ${what} is no run`);
  const stored = readRun(run.folder);
  const reason = uncertifiable({ run: stored, task: run.task });
  if (reason !== undefined) return without(reason);
  const { config } = stored.manifest;
  let certifying: Certifying;
  try {
    checkCertificatePlace(path);
    const modelFolder = await resolveModel(flags.model ?? config.model_name_or_path, {
      ...{ revision: flags.revision ?? config.revision, signal },
    });
    certifying = await prepareCertificate({
      ...{ run: stored, task: run.task, modelFolder, backend, rows: flags.certificateRows, signal },
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `no certificate can be made: ${error.message} (--no-certificate exports without one)`,
    );
  }
  return () => certified(exported, certifying, open);
}

/** Makes the certificate, and shows it. What cannot be run is told; the file stays. */
async function certified(
  { path, format, type, flags, backend, signal }: CertifiedExport,
  certifying: Certifying,
  open: OpenReader,
): Promise<void> {
  removeCertificate(path);
  const bar = process.stdout.isTTY
    ? barOf(process.stdout, ({ value, total }) => ({
        title: 'certifying',
        count: `${Math.floor(value / 3)}/${total / 3} rows`,
        rest: [],
      }))
    : undefined;
  const { bf16 } = certifying.settings.training;
  try {
    const file = await exportedFile(path, { format, type, signal });
    const certificate = await certify(
      certifying,
      { file, open: (asked) => open({ path, ...asked, backend, bf16, threads: flags.threads, signal }) },
      (done, total) => {
        if (bar?.isActive === false) bar.start(total, done, { rest: [] });
        bar?.update(done);
      },
    );
    bar?.stop();
    const where = writeCertificate(certificate, path, certifying.run);
    sayLines(`\n${certificateTable(certificate)}\n`);
    for (const note of certificate.notes) warn(note);
    say(`wrote ${where}`);
    tellFaults(certificate.faults, flags);
  } catch (error) {
    bar?.stop();
    if (isAbort(error, signal)) {
      say(`stopped; ${path} is written, and has no certificate`);
      process.exitCode = 130;
    } else if (error instanceof UserError) tellFaults([`it has no certificate: ${error.message}`], flags);
    else throw error;
  }
}

function tellFaults(faults: readonly string[], { strict }: CertificateFlags): void {
  for (const fault of faults) warn(`WARNING: what was exported is not what was tested: ${fault}`);
  if (faults.length > 0 && strict) process.exitCode = 1;
}

/** A certificate for people. */
export function certificateTable(certificate: Certificate): string {
  const { run, reader, metric, run_answers, exported_answers, paired, tokens, perplexity } = certificate;
  const rows = `${certificate.certified_rows} of ${certificate.test_rows} test rows`;
  const [, main] = mainFigure({ metric });
  const show = ({ metrics, intervals }: CertifiedAnswers, name: string): string =>
    withInterval(metrics[name], intervals[name]);
  const { difference, interval, p } = paired;
  const first = tokens.first_difference;
  const lines = [
    ...figureHeads({ metric })
      .filter(([name]) => name in run_answers.metrics)
      .map(([name, head]) => [head, show(run_answers, name), show(exported_answers, name)]),
    ['no answer', String(run_answers.unanswered), String(exported_answers.unanswered)],
    [
      `difference in ${main}`,
      '',
      `${percent(difference)} [${percent(interval.low)}, ${percent(interval.high)}], p ${p < 0.001 ? '< 0.001' : p.toFixed(3)}`,
    ],
    ['perplexity of the references', perplexity.run.toFixed(4), perplexity.exported.toFixed(4)],
    ['mean KL divergence', '', small(certificate.kl_divergence)],
    ['largest difference of logits', '', small(certificate.largest_logit_difference)],
    [
      'rows with the same greedy tokens',
      '',
      `${tokens.equal_rows}${first ? `; row ${first.row + 1} differs first, at token ${first.place + 1}` : ''}`,
    ],
  ];
  const cut = certificate.prompts;
  if (cut)
    lines.push([
      'prompts that its tokenizer cuts alike',
      '',
      `${cut.equal_rows}${cut.first_difference ? `; row ${cut.first_difference.row + 1} differs first` : ''}`,
    ]);
  const by = `${reader.name} (${reader.version})${reader.independent ? '' : ', which wrote the file itself'}`;
  return [
    tableText(
      [
        run.task,
        run.weights === 'auto' ? 'as tested' : `as tested, over ${run.weights}`,
        `exported, ${certificate.file.type}`,
      ],
      lines,
    ),
    '',
    `${rows}; in percent, with 95 % intervals; probabilities at ${certificate.places} tokens of the references, in nats; the file was read by ${by}`,
  ].join('\n');
}

function small(figure: number): string {
  return figure > 0 && figure < 1e-3 ? figure.toExponential(1) : figure.toPrecision(3);
}
