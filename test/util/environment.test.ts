import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { parseConfig } from '../../src/experiments/config/index.js';
import { mlflowServer } from '../../src/experiments/trackers/mlflow-server.js';
import { endpoint, hubCache, hubRequests, offlineByEnvironment } from '../../src/files/hub-client.js';
import { environment, cacheFolder } from '../../src/util/environment.js';

const NAMES = [
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HF_HUB_OFFLINE',
  'HF_TOKEN',
  'HF_TOKEN_PATH',
  'HUGGINGFACE_HUB_CACHE',
  'HUGGING_FACE_HUB_TOKEN',
  'MLFLOW_EXPERIMENT_NAME',
  'MLFLOW_HTTP_REQUEST_TIMEOUT',
  'MLFLOW_TRACKING_PASSWORD',
  'MLFLOW_TRACKING_TOKEN',
  'MLFLOW_TRACKING_URI',
  'MLFLOW_TRACKING_USERNAME',
  'WESTWIND_CACHE',
  'XDG_CACHE_HOME',
] as const;

const before = { ...process.env };
beforeEach(() => NAMES.forEach((name) => Reflect.deleteProperty(process.env, name)));
afterEach(() => {
  for (const name of NAMES) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, before);
});

const config = (mlflow: object): Parameters<typeof mlflowServer>[0] =>
  parseConfig(
    JSON.stringify({
      model_name_or_path: 'm',
      mlflow,
      tasks: { t: { task: 'classification', test: { path: 'a' }, labels: ['a', 'b'] } },
    }),
  );
const NAMED = config({ tracking_uri: 'http://host/' });

/** All that the variables say. */
const all = () => ({
  hub: [endpoint(), hubCache(), offlineByEnvironment()],
  kernels: cacheFolder(),
  mlflow: [mlflowServer(config({})), mlflowServer(NAMED)],
});

test('a variable that is set to nothing, or to white space, is not set', () => {
  const unset = all();
  const blank = fc.constantFrom('', ' ', '\t', '  \n');
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...NAMES), blank), (set) => {
      Object.assign(process.env, set);
      assert.deepEqual(all(), unset);
      // A blank token is none, not one with a blank in it.
      hubRequests({ type: 'model', name: 'a/b' }, 'main', {});
      for (const name of Object.keys(set)) {
        assert.equal(environment(name), undefined);
        Reflect.deleteProperty(process.env, name);
      }
    }),
  );
});

test('an empty one does not stand before one that is set', () => {
  Object.assign(process.env, {
    HF_HUB_CACHE: '',
    HUGGINGFACE_HUB_CACHE: '/cache',
    MLFLOW_EXPERIMENT_NAME: '',
  });
  Object.assign(process.env, { MLFLOW_TRACKING_URI: 'http://me:word@host', MLFLOW_TRACKING_USERNAME: '' });
  assert.equal(hubCache(), '/cache');
  const server = mlflowServer(config({}));
  assert.ok(typeof server !== 'string');
  assert.equal(server.experiment, 'Default');
  // The address's own name and password hold.
  assert.equal(server.authorization, `Basic ${Buffer.from('me:word').toString('base64')}`);
});
