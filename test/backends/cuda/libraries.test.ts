import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { driverLibrary, findDriver, toolkitLibraries } from '../../../src/backends/cuda/libraries.js';
import { UserError } from '../../../src/util/errors.js';

const root = mkdtempSync(join(tmpdir(), 'westwind-cuda-'));
after(() => rmSync(root, { recursive: true }));

function place(...parts: string[]): string {
  const path = join(root, ...parts);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, '');
  return path;
}

/** Whether this machine has libraries of its own, which the searches below would find. */
function machineHas(find: () => unknown): boolean {
  try {
    return find() !== undefined;
  } catch {
    return false;
  }
}

test('WESTWIND_CUDA goes before every other place', () => {
  const driver = place('asked', 'libcuda.so.1');
  const nvrtc = place('asked', 'lib64', 'libnvrtc.so.13');
  const cublasLt = place('asked', 'lib64', 'libcublasLt.so.13');
  place('other', 'lib64', 'libnvrtc.so.13');
  const env = { WESTWIND_CUDA: join(root, 'asked'), CUDA_HOME: join(root, 'other') };
  assert.equal(findDriver(env), driver);
  assert.deepEqual(toolkitLibraries(env, 13), { nvrtc, cublasLt });
});

test('a CUDA install is found by CUDA_HOME, its newest version first that the driver can serve', () => {
  const older = [place('toolkit', 'lib64', 'libnvrtc.so.12'), place('toolkit', 'lib64', 'libcublasLt.so.12')];
  const nvrtc = place('toolkit', 'lib64', 'libnvrtc.so.13');
  const cublasLt = place('toolkit', 'lib64', 'libcublasLt.so.13');
  const env = { CUDA_HOME: join(root, 'toolkit') };
  assert.deepEqual(toolkitLibraries(env, 13), { nvrtc, cublasLt });
  assert.deepEqual(toolkitLibraries(env, 12), { nvrtc: older[0], cublasLt: older[1] });
});

test("the packages of Python's users serve as well", () => {
  const site = ['venv', 'lib', 'python3.12', 'site-packages', 'nvidia'] as const;
  const nvrtc = place(...site, 'cu13', 'lib', 'libnvrtc.so.13');
  const cublasLt = place(...site, 'cublas', 'lib', 'libcublasLt.so.13');
  const env = { VIRTUAL_ENV: join(root, 'venv') };
  if (machineHas(() => toolkitLibraries({}, 13))) assert.ok(toolkitLibraries(env, 13));
  else assert.deepEqual(toolkitLibraries(env, 13), { nvrtc, cublasLt });
});

test('what is missing is named, with the way to mend it', (t) => {
  place('half', 'libnvrtc.so.13');
  if (machineHas(() => findDriver({})) || machineHas(() => toolkitLibraries({}, 13))) {
    t.skip('this machine has CUDA');
    return;
  }
  const fault = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof UserError);
      return error.message;
    }
    return 'none';
  };
  assert.match(
    fault(() => driverLibrary({})),
    /^no NVIDIA driver was found \(libcuda\.so\.1\): install it .* choose --device cpu$/,
  );
  assert.match(
    fault(() => toolkitLibraries({ WESTWIND_CUDA: join(root, 'half') }, 13)),
    /^cuBLASLt \(libcublasLt\.so\.13 or .*\) was found in none of \d+ folders: install CUDA 12 or 13 .*nvidia-cublas.*WESTWIND_CUDA$/,
  );
  assert.match(
    fault(() => toolkitLibraries({}, 13)),
    /^NVRTC \(libnvrtc\.so\.13 or .*\) was found in none/,
  );
});
