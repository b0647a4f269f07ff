/** The faults of files, for the rows above. */
export { readFault, writeFault } from '../util/faults.js';
