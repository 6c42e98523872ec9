import type { Host, User } from './host';
import { until } from './until';

/** The service as a program sees it, to prepare what the tests look at. */
export class Api {
  private constructor(
    readonly host: Host,
    readonly token: string,
    readonly project: string, // id
    readonly user: string, // id
  ) {}

  static async as(host: Host, user: User): Promise<Api> {
    const project = user === 'outsider' ? 'other' : 'main';
    const domain = { id: 'default' };
    const body = {
      auth: {
        identity: { methods: ['password'], password: { user: { name: user, password: host.passwords[user], domain } } },
        scope: { project: { name: project, domain } },
      },
    };
    const response = await fetch(`${host.api}/v3/auth/tokens`, { method: 'POST', body: JSON.stringify(body) });
    if (response.status !== 201) throw new Error(`sign-in of ${user}: ${response.status} ${await response.text()}`);
    const { token } = (await response.json()) as { token: { project: { id: string }; user: { id: string } } };
    return new Api(host, response.headers.get('X-Subject-Token') ?? '', token.project.id, token.user.id);
  }

  async call<T = Record<string, unknown>>(method: string, path: string, body?: unknown, type = 'application/json'): Promise<T> {
    const response = await fetch(this.host.api + path, {
      method,
      headers: { 'X-Auth-Token': this.token, 'X-Subject-Token': this.token, Accept: 'application/json', 'Content-Type': type },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  async create(name: string, attributes: Record<string, unknown> = {}): Promise<string> {
    const body = { name, disk_format: 'raw', container_format: 'bare', visibility: 'private', ...attributes };
    return (await this.call<{ id: string }>('POST', '/v2/images', body)).id;
  }

  async set(id: string, path: string, value: unknown): Promise<void> {
    await this.call('PATCH', `/v2/images/${id}`, [{ op: 'add', path, value }], 'application/openstack-images-v2.1-json-patch');
  }

  /** Sends bytes as one request and waits for the verdict. */
  async upload(id: string, bytes: Buffer): Promise<Record<string, unknown>> {
    const upload = await this.call<{ id: string; signed: { url: string; headers: Record<string, string> }[] }>(
      'POST',
      `/v2/images/${id}/uploads`,
      { size: bytes.length },
    );
    const signed = upload.signed[0];
    if (!signed || upload.signed.length !== 1) throw new Error(`${bytes.length} bytes are more than one request takes`);
    const headers = Object.fromEntries(
      Object.entries(signed.headers).filter(([k]) => !['content-length', 'host'].includes(k.toLowerCase())),
    );
    const put = await fetch(signed.url, { method: 'PUT', headers, body: new Uint8Array(bytes) });
    if (!put.ok) throw new Error(`PUT: ${put.status} ${await put.text()}`);
    await this.call('POST', `/v2/images/${id}/uploads/${upload.id}/complete`);
    let image: Record<string, unknown> = {};
    await until(`image ${id} has a verdict`, async () => {
      image = await this.call('GET', `/v2/images/${id}`);
      return image['status'] === 'active' || image['bullion_upload_state'] === 'rejected';
    });
    return image;
  }

  async active(name: string, attributes: Record<string, unknown> = {}): Promise<string> {
    const id = await this.create(name, attributes);
    await this.upload(id, disk(1 << 20, name));
    return id;
  }
}

/** A raw disk: mostly zeros, with something of its own. */
export function disk(size: number, text: string): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.write(text.repeat(20).slice(0, 2000), 4096);
  return bytes;
}
