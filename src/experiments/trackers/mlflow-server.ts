/** Which MLflow server is told. */

import { environment } from '../../util/environment.js';
import { isToken, masked } from '../../util/secrets.js';
import type { MlflowServer } from './mlflow-client.js';
import type { TrackerSettings } from './tracker.js';

/** The server that a configuration or the environment names, by MLflow's own variables; a text says why there is none. */
export function mlflowServer({ mlflow }: TrackerSettings): MlflowServer | string {
  const named = mlflow.tracking_uri ?? environment('MLFLOW_TRACKING_URI');
  if (named === undefined)
    return 'report_to has mlflow, but no server is named: set MLFLOW_TRACKING_URI, or mlflow.tracking_uri in the configuration';
  if (!/^https?:\/\/./.test(named) || !URL.canParse(named))
    return `report_to has mlflow, but its server is not named by an http or https address: ${masked(named)}`;
  const url = new URL(named);
  let [user, password] = [url.username, url.password];
  try {
    [user, password] = [decodeURIComponent(user), decodeURIComponent(password)];
  } catch {
    return 'report_to has mlflow, but in its address a % of the name or password is not written %25';
  }
  user = environment('MLFLOW_TRACKING_USERNAME') ?? user;
  password = environment('MLFLOW_TRACKING_PASSWORD') ?? password;
  const token = environment('MLFLOW_TRACKING_TOKEN')?.trim();
  if (token && !isToken(token))
    return 'report_to has mlflow, but MLFLOW_TRACKING_TOKEN has a space, a line break or another character that no token has';
  url.username = url.password = '';
  const basic = user && password && `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const authorization = basic || (token && `Bearer ${token}`);
  return {
    uri: url.href.replace(/\/+$/, ''),
    experiment: mlflow.experiment_name ?? environment('MLFLOW_EXPERIMENT_NAME') ?? 'Default',
    timeoutMs: requestMs(environment('MLFLOW_HTTP_REQUEST_TIMEOUT')),
    ...(authorization && { authorization }),
  };
}

const DEFAULT_SECONDS = 10;
/** Longer than anyone waits, and within a timer's range. */
const MAX_SECONDS = 3600;

function requestMs(text: string | undefined): number {
  const seconds = Number(text);
  return 1000 * (seconds > 0 ? Math.min(seconds, MAX_SECONDS) : DEFAULT_SECONDS);
}
