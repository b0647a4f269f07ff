/** Exported files, held to the runs that they are of. */
export { certify, type Exported, type OnCertified } from './certify.js';
export { prepareCertificate, uncertifiable, type Certifying, type CertifyOrder } from './prepare.js';
export { openGguf, openOwn, type OpenReader, type ReaderOrder } from './readers.js';
export { checkCertificatePlace, exportedFile, removeCertificate, writeCertificate } from './files.js';
