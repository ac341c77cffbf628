// Made from src/live-job/ by scripts/minify.
import{BASE as e,watch as t}from"./livejobs.js";const n=/(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]/g,r=/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;function i(e){let t=String(e).replace(n,``);return t.includes(`\r`)&&(t=t.split(`
`).map(a).join(`
`)),t.replace(r,e=>`\\u${e.charCodeAt(0).toString(16).padStart(4,`0`)}`)}const a=e=>e.split(`\r`).findLast(Boolean)??``;function o(e,t,n={}){let r=document.createElement(e);t!==void 0&&s(r,t);for(let[e,t]of Object.entries(n))r.setAttribute(e,t);return r}function s(e,t){e.lastText!==t&&(e.lastText=t,e.textContent=i(t))}function c(e,t,n){n===null?e.removeAttribute(t):e.getAttribute(t)!==String(n)&&e.setAttribute(t,n)}function l(e,t,n,r,i){let a=e.nodes??/* @__PURE__ */ new Map,o=e.nodes=new Map(t.map(e=>[n(e),null]));for(let[e,t]of a)o.has(e)||t.remove();let s=e.firstElementChild;for(let c of t){let t=a.get(n(c))??r(c);o.set(n(c),t),i(t,c),t===s?s=s.nextElementSibling:e.insertBefore(t,s)}}function u(e){let t=!1;return()=>{t||(t=!0,requestAnimationFrame(()=>{t=!1,e()}))}}const d=/* @__PURE__ */ new Map;function ee(e){return d.has(e)||d.set(e,f(e).finally(()=>d.delete(e))),d.get(e)}async function f(e){let t=await fetch(e,{cache:`no-store`});if(!t.ok)throw Error(`${e} answered ${t.status}`);return/json/.test(t.headers.get(`content-type`))?(await t.json()).token:(await t.text()).trim()}function p(e){try{return JSON.parse(atob(e.split(`.`)[1].replace(/-/g,`+`).replace(/_/g,`/`)))??{}}catch{return{}}}var te=class{#e;constructor(e,t,n){this.base=e,this.token=t||null,this.#e=typeof n==`string`?()=>ee(n):n}get watching(){let e=this.#e&&(()=>this.renew());return{url:this.base,token:this.token,...e&&{renew:e}}}async renew(){let e=await this.#e();return e&&(this.token=e),e}get mayAct(){let{scope:e,livejobs:t}=p(this.token);return(Array.isArray(t?.scopes)?t.scopes:[e??`cancel`]).some(e=>e!==`view`)}get isOld(){return!!this.#e&&p(this.token).exp-5<Date.now()/1e3}link(e){let t=new URL(e,this.base);return this.token&&t.searchParams.set(`token`,this.token),t.href}async post(e,t,n){this.isOld&&await this.renew().catch(()=>{});let r=await this.#t(e,t,n);r.status===401&&this.#e&&await this.renew().catch(()=>null)&&(r=await this.#t(e,t,n));let i=await r.json().catch(()=>({}));if(r.ok)return i;let{detail:a=n.say(`status`,r.status),errors:o=[],code:s}=i;throw Object.assign(Error(a),{errors:o,code:s,status:r.status})}#t(e,t,n){let r={"content-type":`application/json`};this.token&&(r.authorization=`Bearer ${this.token}`);let i={method:`POST`,headers:r,body:JSON.stringify(t)};return fetch(new URL(e,this.base),i).catch(()=>{throw Object.assign(Error(n.say(`unreachable`)),{errors:[]})})}};const m=e=>`v1/jobs/${encodeURIComponent(e)}`,h=e=>e.completed_at!==null;function g(e){return e.status===`running`?e.stalled?`stalled`:e.cancel_requested?`cancelling`:e.waiting?`waiting`:`running`:e.status}function ne(e,t,n){let{percent:r}=e.progress,i=g(e);return i===`waiting`&&n?t.say(`question`):i===`queued`&&e.queue?re(e.queue,t):i===`failed`&&r?t.say(`failedAt`,t.percent(r)):i===`running`&&r!==null?t.percent(r):t.say(i)}const re=({position:e,length:t},n)=>e===1?n.say(`next`):n.say(`place`,n.number(e),n.number(t));function ie(e,t,n,r){if(e.error&&e.status!==`succeeded`)return e.error.message;if(e.waiting&&r)return e.waiting.prompt;let i=Math.floor(_(e.heartbeat_at,t));if(e.stalled)return n.say(`silent`,n.span(i));let a=e.steps.find(e=>e.status===`running`);return(h(e)?``:e.progress.message)||(a?a.title||a.name:``)}const _=(e,t)=>Math.max(0,(t-Date.parse(e))/1e3);function ae(e,t,n,r){let{run_seconds:i}=e.timing;if(h(e))return i===null?``:r.say(`took`,r.span(i));let a=oe(e,t,n);return a?r.say(e.status===`queued`?`starts`:`left`,r.span(a)):``}function oe(e,t,n){let r=e.status===`queued`?e.queue?.eta_seconds:e.progress.eta_seconds;return r==null||e.stalled||e.waiting?null:Math.max(0,Math.round(r-(n-t)/1e3))}function se({progress:{current:e,total:t,unit:n}},r){if(e===null)return``;let i=r.number(e),a=t===null?i:r.say(`of`,i,r.number(t));return n?`${a} ${n}`:a}function v(e,t){let{rate:n,unit:r}=e.progress;return n===null||e.status!==`running`||e.stalled||e.waiting?``:t.say(`rate`,r?`${t.number(n)} ${r}`:t.number(n))}function ce(e,t){let n=g(e),{percent:r}=e.progress,i=r&&n===`running`?t.percent(r-r%25):``,a=n===`waiting`?e.waiting.prompt:``;return[t.say(n),i,a].filter(Boolean).join(`, `)}const y={en:{queued:`Queued`,running:`Running`,succeeded:`Succeeded`,failed:`Failed`,cancelled:`Cancelled`,stalled:`Stalled`,cancelling:`Cancelling`,waiting:`Waiting for an answer`,failedAt:`Failed at {0}`,next:`Next in line`,place:`{0} of {1} in line`,starts:`starts in {0}`,left:`{0} left`,took:`took {0}`,silent:`No report for {0}`,of:`{0} of {1}`,rate:`{0}/s`,progress:`Progress`,question:`Question`,steps:`Steps`,errors:`Errors`,log:`Log`,files:`Files`,pending:`Pending`,skipped:`Skipped`,cancel:`Cancel`,sure:`Really?`,force:`End it now`,answer:`Answer`,send:`Send`,yes:`Yes`,no:`No`,notJson:`This is not JSON: {0}`,connecting:`Connecting…`,reconnecting:`Connection lost. Trying again…`,none:`No job is chosen.`,missing:`There is no such job.`,gone:`This job was deleted.`,denied:`You have no access to this job.`,refused:`The server does not accept this.`,status:`The server answered {0}.`,unreachable:`The server can’t be reached.`},de:{queued:`Wartet`,running:`Läuft`,succeeded:`Fertig`,failed:`Fehlgeschlagen`,cancelled:`Abgebrochen`,stalled:`Stockt`,cancelling:`Wird abgebrochen`,waiting:`Wartet auf eine Antwort`,failedAt:`Fehlgeschlagen bei {0}`,next:`Als Nächstes an der Reihe`,place:`Platz {0} von {1}`,starts:`beginnt in {0}`,left:`noch {0}`,took:`dauerte {0}`,silent:`Keine Meldung seit {0}`,of:`{0} von {1}`,rate:`{0}/s`,progress:`Fortschritt`,question:`Frage`,steps:`Schritte`,errors:`Fehler`,log:`Protokoll`,files:`Dateien`,pending:`Steht noch aus`,skipped:`Ausgelassen`,cancel:`Abbrechen`,sure:`Wirklich?`,force:`Sofort beenden`,answer:`Antwort`,send:`Senden`,yes:`Ja`,no:`Nein`,notJson:`Das ist kein JSON: {0}`,connecting:`Verbindet…`,reconnecting:`Keine Verbindung. Neuer Versuch…`,none:`Kein Auftrag gewählt.`,missing:`Diesen Auftrag gibt es nicht.`,gone:`Dieser Auftrag wurde gelöscht.`,denied:`Kein Zugriff auf diesen Auftrag.`,refused:`Der Server nimmt das nicht an.`,status:`Der Server antwortete mit {0}.`,unreachable:`Der Server ist nicht erreichbar.`},fr:{queued:`En attente`,running:`En cours`,succeeded:`Terminé`,failed:`Échoué`,cancelled:`Annulé`,stalled:`Bloqué`,cancelling:`Annulation en cours`,waiting:`Attend une réponse`,failedAt:`Échoué à {0}`,next:`Prochain dans la file`,place:`{0} sur {1} dans la file`,starts:`commence dans {0}`,left:`{0} restants`,took:`a duré {0}`,silent:`Sans nouvelles depuis {0}`,of:`{0} sur {1}`,rate:`{0}/s`,progress:`Progression`,question:`Question`,steps:`Étapes`,errors:`Erreurs`,log:`Journal`,files:`Fichiers`,pending:`À venir`,skipped:`Ignoré`,cancel:`Annuler`,sure:`Vraiment ?`,force:`Arrêter tout de suite`,answer:`Réponse`,send:`Envoyer`,yes:`Oui`,no:`Non`,notJson:`Ceci n’est pas du JSON : {0}`,connecting:`Connexion…`,reconnecting:`Connexion perdue. Nouvel essai…`,none:`Aucune tâche choisie.`,missing:`Cette tâche n’existe pas.`,gone:`Cette tâche a été supprimée.`,denied:`Vous n’avez pas accès à cette tâche.`,refused:`Le serveur n’accepte pas cela.`,status:`Le serveur a répondu {0}.`,unreachable:`Le serveur est injoignable.`},es:{queued:`En cola`,running:`En curso`,succeeded:`Completado`,failed:`Fallido`,cancelled:`Cancelado`,stalled:`Detenido`,cancelling:`Cancelando`,waiting:`Espera una respuesta`,failedAt:`Falló al {0}`,next:`Siguiente en la cola`,place:`{0} de {1} en la cola`,starts:`empieza en {0}`,left:`quedan {0}`,took:`duró {0}`,silent:`Sin noticias desde hace {0}`,of:`{0} de {1}`,rate:`{0}/s`,progress:`Progreso`,question:`Pregunta`,steps:`Pasos`,errors:`Errores`,log:`Registro`,files:`Archivos`,pending:`Pendiente`,skipped:`Omitido`,cancel:`Cancelar`,sure:`¿Seguro?`,force:`Terminar ya`,answer:`Respuesta`,send:`Enviar`,yes:`Sí`,no:`No`,notJson:`Esto no es JSON: {0}`,connecting:`Conectando…`,reconnecting:`Sin conexión. Reintentando…`,none:`No se ha elegido ninguna tarea.`,missing:`Esta tarea no existe.`,gone:`Esta tarea se ha eliminado.`,denied:`No tiene acceso a esta tarea.`,refused:`El servidor no lo acepta.`,status:`El servidor respondió {0}.`,unreachable:`No se puede acceder al servidor.`},pt:{queued:`Na fila`,running:`Em execução`,succeeded:`Concluído`,failed:`Falhou`,cancelled:`Cancelado`,stalled:`Parado`,cancelling:`Cancelando`,waiting:`Aguarda uma resposta`,failedAt:`Falhou em {0}`,next:`Próximo da fila`,place:`{0} de {1} na fila`,starts:`começa em {0}`,left:`faltam {0}`,took:`durou {0}`,silent:`Sem notícias há {0}`,of:`{0} de {1}`,rate:`{0}/s`,progress:`Progresso`,question:`Pergunta`,steps:`Etapas`,errors:`Erros`,log:`Registro`,files:`Arquivos`,pending:`Pendente`,skipped:`Ignorado`,cancel:`Cancelar`,sure:`Tem certeza?`,force:`Encerrar agora`,answer:`Resposta`,send:`Enviar`,yes:`Sim`,no:`Não`,notJson:`Isto não é JSON: {0}`,connecting:`Conectando…`,reconnecting:`Sem conexão. Tentando de novo…`,none:`Nenhuma tarefa escolhida.`,missing:`Esta tarefa não existe.`,gone:`Esta tarefa foi excluída.`,denied:`Você não tem acesso a esta tarefa.`,refused:`O servidor não aceita isto.`,status:`O servidor respondeu {0}.`,unreachable:`O servidor está inacessível.`},ja:{queued:`待機中`,running:`実行中`,succeeded:`完了`,failed:`失敗`,cancelled:`キャンセル済み`,stalled:`応答なし`,cancelling:`キャンセル中`,waiting:`回答待ち`,failedAt:`{0}で失敗`,next:`次に開始`,place:`{1}件中{0}番目`,starts:`{0}後に開始`,left:`残り{0}`,took:`所要時間{0}`,silent:`{0}間報告がありません`,of:`{0} / {1}`,rate:`{0}/秒`,progress:`進捗`,question:`質問`,steps:`手順`,errors:`エラー`,log:`ログ`,files:`ファイル`,pending:`未開始`,skipped:`スキップ`,cancel:`キャンセル`,sure:`本当に？`,force:`今すぐ終了`,answer:`回答`,send:`送信`,yes:`はい`,no:`いいえ`,notJson:`JSONではありません：{0}`,connecting:`接続中…`,reconnecting:`接続が切れました。再試行中…`,none:`ジョブが選択されていません。`,missing:`このジョブは存在しません。`,gone:`このジョブは削除されました。`,denied:`このジョブを表示する権限がありません。`,refused:`サーバーが受け付けませんでした。`,status:`サーバーの応答：{0}`,unreachable:`サーバーに接続できません。`},zh:{queued:`排队中`,running:`运行中`,succeeded:`已完成`,failed:`失败`,cancelled:`已取消`,stalled:`无响应`,cancelling:`正在取消`,waiting:`等待回答`,failedAt:`在{0}处失败`,next:`下一个开始`,place:`队列第{0}位，共{1}个`,starts:`{0}后开始`,left:`剩余{0}`,took:`用时{0}`,silent:`已有{0}没有报告`,of:`{0} / {1}`,rate:`{0}/秒`,progress:`进度`,question:`问题`,steps:`步骤`,errors:`错误`,log:`日志`,files:`文件`,pending:`未开始`,skipped:`已跳过`,cancel:`取消`,sure:`确定吗？`,force:`立即结束`,answer:`回答`,send:`发送`,yes:`是`,no:`否`,notJson:`这不是 JSON：{0}`,connecting:`正在连接…`,reconnecting:`连接已断开，正在重试…`,none:`未选择任务。`,missing:`没有这个任务。`,gone:`此任务已删除。`,denied:`您无权查看此任务。`,refused:`服务器不接受此请求。`,status:`服务器返回 {0}。`,unreachable:`无法连接服务器。`}},b=[[86400,`day`],[3600,`hour`],[60,`minute`],[1,`second`]],le=[`byte`,`kilobyte`,`megabyte`,`gigabyte`,`terabyte`];var x=class{#e=/* @__PURE__ */ new Map;constructor(e,t){this.lang=e,this.words=t,this.form={...t,notJson:e=>this.say(`notJson`,e)}}say(e,...t){return this.words[e].replace(/\{(\d)\}/g,(e,n)=>t[n])}number(e,t={maximumFractionDigits:1}){let n=JSON.stringify(t);return this.#e.has(n)||this.#e.set(n,new Intl.NumberFormat(this.lang,t)),this.#e.get(n).format(e)}percent(e){return this.number(e/100,{style:`percent`})}span(e){if(e>.05&&e<9.95&&e%1)return this.#t(e,`second`,1);let t=Math.round(e),n=Math.max(0,b.findIndex(([e])=>t>=e||e===1)),[[r,i],[a,o]=[]]=b.slice(n,n+2),s=a?Math.floor(t%r/a):0,c=[this.#t(Math.floor(t/r),i)];return s&&c.push(this.#t(s,o)),c.join(/^(ja|zh)/.test(this.lang)?``:` `)}bytes(e){let t=e<1e3?0:Math.min(4,Math.floor(Math.log10(e)/3));return this.#t(e/1e3**t,le[t],+!!t,t?`short`:`long`)}#t(e,t,n=0,r=`narrow`){let i={style:`unit`,unit:t,unitDisplay:r,maximumFractionDigits:n};return this.number(e,i)}};const S=/* @__PURE__ */ new Map;function C(e){return S.has(e)||S.set(e,w(e)),S.get(e)}function w(e){let t=`en`;try{[t=`en`]=Intl.getCanonicalLocales(e||navigator.language)}catch{t=String(e).split(/[^a-z]/i)[0].toLowerCase()}let n=y[t]??y[t.split(`-`)[0]];return new x(n?t:`en`,{...y.en,...n})}const T=/* @__PURE__ */ new WeakMap;function ue(e){let{ownerDocument:t}=e;if(!T.has(t)){let e=new t.defaultView.CSSStyleSheet;e.replaceSync(`
:host {
  display: block;
  container-type: inline-size;
  min-inline-size: 160px;
  font-family: var(--live-job-font, inherit);
  font-size: var(--live-job-size, 13px);
  font-weight: 400;
  line-height: 1.54;
  letter-spacing: normal;
  text-transform: none;
  --accent: var(--live-job-accent, light-dark(#4f52d3, #8b8ef5));
  --ground: var(--live-job-ground, light-dark(#fff, #131418));
  --sunken: var(--live-job-sunken, light-dark(#f4f4f6, #191a20));
  --ink: var(--live-job-ink, light-dark(#18191d, #ececf0));
  --soft: var(--live-job-soft, light-dark(#5c5f68, #a2a5b0));
  --line: var(--live-job-line, light-dark(#e7e7eb, #22242a));
  --edge: var(--live-job-edge, light-dark(#d5d6dc, #34363f));
  --track: var(--live-job-track, light-dark(#e9e9ee, #26282f));
  --good: var(--live-job-good, light-dark(#1a7f4b, #4cc38a));
  --bad: var(--live-job-bad, light-dark(#c42b32, #f4767b));
  --warn: var(--live-job-warn, light-dark(#94600a, #e2a63c));
  --warn-fill: var(--live-job-warn, light-dark(#d9951a, #e2a63c));
  --idle: light-dark(#8c8f99, #6c6f7b);
  --on-disc: light-dark(#fff, #0d0e11);
  --radius: var(--live-job-radius, 10px);
  --mono: var(--live-job-mono, ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace);
}
:host([hidden]), [hidden] { display: none !important; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
*, ::before, ::after { box-sizing: border-box; }
p, ol, ul { margin: 0; padding: 0; font: inherit; }
ol, ul { list-style: none; }
button, input, select, textarea { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.card {
  display: flex;
  flex-direction: column;
  min-block-size: 100%;
  padding: 14px 16px;
  border: 1px solid var(--line);
  border-radius: var(--radius);
  background: var(--ground);
  color: var(--ink);
  text-align: start;
  overflow-wrap: anywhere;
}
.card.compact { padding: 0; border: 0; border-radius: 0; background: none; }
.card:focus { outline: none; }
.card > * { flex: none; }

.head { display: flex; gap: 8px; align-items: center; min-inline-size: 0; }
.title { flex: 1; min-inline-size: 0; font-weight: 600; }
.title, .compact .message, .file a {
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}
.state {
  flex: none;
  max-inline-size: 60%;
  font-weight: 500;
  font-variant-numeric: tabular-nums;
}
[data-kind="failed"] .state { color: var(--bad); }
[data-kind="stalled"] .state, [data-kind="waiting"] .state { color: var(--warn); }
[data-kind="queued"] .state,
[data-kind="cancelled"] .state,
[data-kind="cancelling"] .state {
  color: var(--soft);
}

.glyph, .arrow {
  flex: none; inline-size: 16px; block-size: 16px;
  fill: none; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round;
}
.disc { stroke: var(--track); }
.arc { stroke: var(--accent); stroke-width: 2; }
.tick, .cross, .dash, .ask { display: none; stroke: var(--on-disc); }
[data-kind]:not([data-kind="running"], [data-kind="stalled"], [data-kind="cancelling"]) > .arc {
  display: none;
}
[data-kind="stalled"] > .arc { stroke: var(--warn-fill); }
[data-kind="cancelling"] > .arc { stroke: var(--idle); }
[data-kind="queued"] > .disc { stroke: var(--idle); stroke-dasharray: 1.4 2.52; }
[data-kind="succeeded"] > .disc { fill: var(--good); stroke: var(--good); }
[data-kind="failed"] > .disc { fill: var(--bad); stroke: var(--bad); }
[data-kind="waiting"] > .disc { fill: var(--warn); stroke: var(--warn); }
[data-kind="cancelled"] > .disc { fill: var(--idle); stroke: var(--idle); }
[data-kind="succeeded"] > .tick, [data-kind="failed"] > .cross, [data-kind="cancelled"] > .dash,
[data-kind="waiting"] > .ask { display: block; }

.button {
  flex: none; padding: 2px 9px; border: 1px solid var(--edge); border-radius: 6px;
  background: var(--ground);
  font-weight: 500;
  cursor: pointer;
  transition: background .12s, border-color .12s;
}
.button:hover { background: var(--sunken); }
.button:disabled { opacity: .5; cursor: default; }
.button.sure { border-color: var(--bad); background: var(--bad); color: var(--on-disc); }

.bar {
  overflow: hidden;
  block-size: var(--live-job-bar, 4px);
  margin-block: 7px 5px;
  border-radius: 99px;
  background: var(--track);
}
.bar i {
  display: block; block-size: 100%; border-radius: inherit; background: var(--accent);
  transform-origin: left; transition: transform .35s ease-out, background .35s;
}
.bar:dir(rtl) i { transform-origin: right; }
.bar i.unknown {
  inline-size: 30%;
  transform: none !important;
  animation: wander 1.8s ease-in-out infinite;
}
[data-kind="stalled"] > .bar i, [data-kind="waiting"] > .bar i { background: var(--warn-fill); }
[data-kind="failed"] > .bar i { background: var(--bad); }
[data-kind="cancelled"] > .bar i, [data-kind="cancelling"] > .bar i { background: var(--idle); }
[data-kind="succeeded"] > .bar i { background: var(--good); }

.meta {
  display: flex;
  flex-wrap: wrap;
  gap: 0 16px;
  justify-content: space-between;
  color: var(--soft);
}
.compact .meta { flex-wrap: nowrap; min-block-size: 1.54em; }
.message { flex: 1 1 0; min-inline-size: 35%; max-inline-size: 100%; }
.message:empty { display: none !important; }
.card:not(.compact) .message {
  display: -webkit-box;
  overflow: hidden;
  -webkit-box-orient: vertical;
  -webkit-line-clamp: 4;
  white-space: pre-line;
}
[data-kind="failed"] .message { color: var(--bad); }
.figures {
  display: flex;
  flex: none;
  flex-wrap: wrap;
  gap: 0 12px;
  max-inline-size: 100%;
  margin-inline-start: auto;
  font-variant-numeric: tabular-nums;
}
.compact :is(.amount, .rate), .figures > :empty { display: none; }
.connection { flex-basis: 100%; color: var(--warn); animation: late 1.2s step-end; }
.compact .connection { flex-basis: auto; white-space: nowrap; }

.refused { margin-block-start: 8px; color: var(--bad); }
.question {
  margin-block-start: 12px;
  padding: 12px;
  border-radius: 8px;
  background: var(--sunken);
}
.question form { display: flex; flex-direction: column; gap: 10px; align-items: flex-start; }
.question .prompt { font-weight: 500; white-space: pre-line; }
.question .refused { margin: 0; }
.choices { display: flex; flex-wrap: wrap; gap: 8px; }
label {
  display: flex;
  flex-direction: column;
  gap: 4px;
  inline-size: 100%;
  max-inline-size: 420px;
  color: var(--soft);
}
label:has([type="checkbox"]) {
  flex-direction: row-reverse;
  gap: 8px;
  align-items: center;
  justify-content: flex-end;
}
label small { color: var(--soft); font-size: .92em; }
input:not([type="checkbox"]), select, textarea {
  inline-size: 100%; min-block-size: 30px; padding: 4px 9px; border: 1px solid var(--edge);
  border-radius: 6px; background: var(--ground); color: var(--ink);
}
textarea { font-family: var(--mono); resize: vertical; }

.steps { margin-block-start: 12px; }
.steps, .files { overflow: auto; max-block-size: 300px; }
.step { display: flex; gap: 8px; align-items: center; padding-block: 2px; }
.step .name { flex: 1; min-inline-size: 0; }
.step .time { flex: none; color: var(--soft); font-variant-numeric: tabular-nums; }
.step:is([data-kind="queued"], [data-kind="cancelled"]) .name { color: var(--soft); }
.step .glyph { inline-size: 14px; block-size: 14px; }

section { margin-block-start: 12px; }
.heading { margin-block-end: 4px; color: var(--soft); font-size: .92em; font-weight: 500; }
.heading .count { margin-inline-start: 4px; font-variant-numeric: tabular-nums; }
.errors li { padding-block: 1px; color: var(--bad); }

.log-section { display: flex; flex-direction: column; }
.log {
  overflow: auto;
  max-block-size: var(--live-job-log-height, 168px);
  padding: 8px 10px;
  border: 1px solid var(--line);
  border-radius: 8px; background: var(--sunken);
  font-family: var(--mono);
  font-size: .92em;
  font-variant-ligatures: none;
  overscroll-behavior: contain;
  scrollbar-width: thin;
}
.line {
  display: flex;
  gap: 10px;
  border-inline-start: 2px solid transparent;
  margin-inline-start: -8px;
  padding-inline-start: 6px;
  white-space: pre-wrap;
}
.line time { flex: none; color: var(--soft); }
.line span { min-inline-size: 0; }
.line[data-level="warning"] { border-color: var(--warn); color: var(--warn); }
.line[data-level="error"] { border-color: var(--bad); color: var(--bad); }
.line[data-level="debug"] { color: var(--soft); }

.file { display: flex; gap: 12px; align-items: center; }
.file a {
  display: flex;
  flex: 0 1 auto;
  gap: 6px;
  align-items: center;
  min-inline-size: 0;
  padding-block: 2px;
  border-radius: 4px;
  color: inherit;
  font-weight: 500;
  text-decoration: none;
}
.file a:hover span { text-decoration: underline; }
.file a span { overflow: hidden; text-overflow: ellipsis; }
.file .arrow { stroke: var(--soft); }
.file .size { flex: none; color: var(--soft); }

::slotted([slot="footer"]) { margin-block-start: 10px; }

.notice {
  display: flex;
  gap: 8px;
  align-items: center;
  min-block-size: 1.54em;
  color: var(--soft);
}
.sr {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

@container (max-width: 360px) {
  .card:not(.compact) { padding: 12px 12px; }
  .amount, .rate, .line time { display: none; }
}
@keyframes wander { from { translate: -100%; } to { translate: 333%; } }
@keyframes late { from { opacity: 0; } }
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { transition: none !important; }
  .bar i.unknown { inline-size: 100%; opacity: .35; animation: none; }
}
@media (forced-colors: active) {
  .bar { border: 1px solid CanvasText; }
  .bar i { background: CanvasText !important; forced-color-adjust: none; }
}
`),T.set(t,e)}e.adoptedStyleSheets=[T.get(t)]}const de=/* @__PURE__ */ new Set([`boolean`,`string`,`number`,`integer`]),E={answer:`Answer`,send:`Send`,yes:`Yes`,no:`No`,notJson:e=>`This is not JSON: ${e}`};function fe({prompt:e,schema:t},n,r=E){let i=o(`form`,void 0,{class:`answer`}),a=o(`p`,``,{class:`refused`,role:`alert`});return a.hidden=!0,i.append(o(`p`,e,{class:`prompt`})),pe(i,t??{},async e=>{let t=[...i.elements],r=i.getRootNode().activeElement;for(let e of t)e.disabled=!0;try{await n(e)}catch(e){for(let e of t)e.disabled=!1;s(a,j(e)),a.hidden=!1,r?.focus()}},r),i.append(a),i}function pe(e,t,n,r){let i=D(t,r);if(i)return e.append(he(i,n));let a=t.type===`object`?ge(t,r):null,s=a??[O(r.answer,t,!0,r)],c=o(`button`,r.send,{class:`button`,part:`button`});e.append(...s.map(e=>e.node),c),e.onsubmit=e=>{e.preventDefault();let t=s.map(e=>[e.name,e.read()]);if(t.some(([,e])=>e instanceof SyntaxError))return;let r=t.filter(([,e])=>e!==void 0);n(a?Object.fromEntries(r):t[0][1])}}function D(e,t=E){if(e.type===`boolean`)return[[t.yes,!0],[t.no,!1]];let n=Array.isArray(e.enum)&&e.enum.length<=20?e.enum:null;return n&&n.map(e=>[me(e),e])}const me=e=>typeof e==`string`?e:JSON.stringify(e);function he(e,t){let n=o(`p`,void 0,{class:`choices`});for(let[r,i]of e){let e=o(`button`,r,{type:`button`,class:`button`,part:`button`});e.onclick=()=>t(i),n.append(e)}return n}function ge({properties:e,required:t},n){let r=Object.entries(e??{});if(!r.length||r.length>20||!r.every(([,e])=>e&&(de.has(e.type)||D(e))))return null;let i=Array.isArray(t)?t:[];return r.map(([e,t])=>O(e,t,i.includes(e),n))}function O(e,t,n,r){let i=_e(t);i.required=n&&i.type!==`checkbox`;let a=o(`label`,typeof t.title==`string`?t.title:e);return a.append(i),typeof t.description==`string`&&a.append(o(`small`,t.description)),i.addEventListener(`input`,()=>i.setCustomValidity(``)),{name:e,node:a,read:()=>k(i,t,n,r)}}function _e(e){let t=e.type===`boolean`?null:D(e);if(t){let e=o(`select`);return e.append(o(`option`,``,{value:``})),t.forEach(([t],n)=>e.append(o(`option`,t,{value:n}))),e}return e.type===`boolean`?o(`input`,void 0,{type:`checkbox`}):e.type===`string`?o(`input`,void 0,{type:`text`}):e.type===`integer`||e.type===`number`?o(`input`,void 0,{type:`number`,step:e.type===`integer`?`1`:`any`}):o(`textarea`,void 0,{rows:3,spellcheck:`false`,placeholder:`JSON`})}function k(e,t,n,r){if(e.type===`checkbox`)return e.checked;if(e.value!==``||n&&t.type===`string`)return e.tagName===`SELECT`?t.enum[Number(e.value)]:e.type===`number`?Number(e.value):t.type===`string`?e.value:A(e,r)}function A(e,t){try{return JSON.parse(e.value)}catch(n){return e.setCustomValidity(t.notJson(n.message)),e.reportValidity(),n}}function j(e){return e.errors?.length?e.errors.map(({pointer:e,detail:t})=>{let n=e.replace(/^\/value\/?/,``);return n?`${n}: ${t}`:t}).join(` `):e.message}const M=`http://www.w3.org/2000/svg`,N={cx:8,cy:8,r:6.25},P=[[`circle`,{class:`disc`,...N}],[`circle`,{class:`arc`,...N,pathLength:100,transform:`rotate(-90 8 8)`}],[`path`,{class:`tick`,d:`m5.3 8.2 1.9 1.9 3.6-4`}],[`path`,{class:`cross`,d:`m5.9 5.9 4.2 4.2m0-4.2-4.2 4.2`}],[`path`,{class:`dash`,d:`M5.3 8h5.4`}],[`path`,{class:`ask`,d:`M6.3 6.2a1.75 1.75 0 1 1 2.5 1.7c-.5.25-.8.6-.8 1.1m0 2.3v.01`}]],F=[[`path`,{d:`M8 2.5v7.75m-3-2.9 3 3 3-3M2.75 13.25h10.5`}]];function I(e,t){let n=document.createElementNS(M,`svg`);for(let[t,r]of e){let e=n.appendChild(document.createElementNS(M,t));for(let[t,n]of Object.entries(r))e.setAttribute(t,n)}for(let[e,r]of Object.entries(t))n.setAttribute(e,r);return n}const L={viewBox:`0 0 16 16`},ve={...L,class:`glyph`,part:`glyph`,role:`img`},R=()=>I(P,ve),ye=()=>I(F,{...L,class:`arrow`,"aria-hidden":`true`});function z(e,t,n,r){c(e,`data-kind`,t),c(e,`aria-label`,r),c(e.children[1],`stroke-dasharray`,`${n??25} 100`)}const be={none:`empty`,missing:`empty`,gone:`empty`,connecting:``};function B(e,t,n={},...r){let i=o(e,void 0,{...t?{class:t,part:t}:{},...n});return i.append(...r),i}const V=(e,t)=>B(e,t,{dir:`auto`});var xe=class{#e;#t;#n=null;#r={};#i=0;#a=0;#o=!1;#s;#c=null;constructor(e,t){this.#e=e,this.#t=t;let n={hour:`2-digit`,minute:`2-digit`,second:`2-digit`,hourCycle:`h23`};this.#s=new Intl.DateTimeFormat(e.lang,n),this.root=this.#l()}#l(){let e=e=>this.#e.say(e);this.glyph=R(),this.title=V(`span`,`name`),this.state=B(`span`,`state`),this.button=B(`button`,`button cancel`,{type:`button`}),this.button.onclick=()=>this.#A();let t=B(`div`,`title`,{},B(`slot`,``,{name:`title`},this.title));this.fill=B(`i`,`fill`);let n={role:`progressbar`,"aria-valuemin":0,"aria-valuemax":100};return this.bar=B(`div`,`bar`,n,this.fill),this.refused=B(`p`,`refused`,{role:`alert`,hidden:``}),this.question=B(`div`,`question`,{role:`group`,"aria-label":e(`question`)}),this.steps=B(`ol`,`steps`,{role:`list`,"aria-label":e(`steps`)}),this.body=B(`div`,`card`,{tabindex:-1},B(`div`,`head`,{},this.glyph,t,this.state,this.button),this.bar,this.#u(),this.refused,this.question,this.steps,...this.#d(),B(`slot`,``,{name:`footer`})),this.spoken=B(`p`,`sr`,{role:`status`}),this.body.append(this.spoken),this.notice=B(`div`,`notice`),this.frame=B(`div`,`card`,{},this.notice,B(`slot`,``,{name:`footer`})),this.frame}#u(){this.message=V(`span`,`message`),this.amount=B(`span`,`amount`),this.rate=B(`span`,`rate`),this.time=B(`span`,`time`),this.connection=B(`span`,`connection`,{role:`status`,hidden:``});let e=B(`span`,`figures`,{},this.amount,this.rate,this.time);return B(`div`,`meta`,{},this.message,e,this.connection)}#d(){return this.log=B(`div`,`log`,{role:`log`,"aria-live":`off`,tabindex:0}),this.errors=B(`ul`,`errors`,{role:`list`}),this.files=B(`ul`,`files`,{role:`list`}),this.sections={errors:this.#f(`errors`,this.errors),log:this.#f(`log`,this.log),files:this.#f(`files`,this.files)},Object.values(this.sections)}#f(e,t){let n=B(`span`,`count`);c(t,`aria-label`,this.#e.say(e));let r=B(`p`,`heading`,{},this.#e.say(e),n),i=B(`section`,`${e}-section`,{hidden:``},r,t);return i.count=n,i}show(e,{state:t,detail:n,compact:r,mayAct:i,hasText:a,whole:o,seenAt:s}){if(!e)return this.#g(t,n,r,a);this.root!==this.body&&this.#h(this.body),this.body.classList.toggle(`compact`,r),e.id!==this.#n?.id&&this.#j(),this.#n=e,this.#_(e,r),this.#v(t),this.#k(i),this.#y(e);let c=i&&!r;if(this.asks=c,this.#m(`waiting`,c?e.waiting:null)&&this.#b(),this.tick(e,s),this.steps.hidden=r||!e.steps.length,!r)this.#p(e,o);else for(let e of Object.values(this.sections))e.hidden=!0}#p(e,t){this.#m(`steps`,e.steps)&&this.#x(e.steps),e.errors&&this.#w(e),this.#m(`files`,e.files)&&this.#D(e),this.sections.files.hidden=!e.files.length,e.logs&&this.#T(e,t)}#m(e,t){return this.#r[e]!==t&&(this.#r[e]=t,!0)}#h(e){this.root.replaceWith(e),this.root=e}#g(e,t,n,r){let i=e in this.#e.words?e:`connecting`;this.root!==this.frame&&this.#h(this.frame),this.#n=null,this.frame.classList.toggle(`compact`,n);let a=be[i]??`error`,l=a||r?B(`slot`,``,{name:a}):o(`span`);s(l,i===`refused`&&t||this.#e.say(i));let u=this.notice.firstChild;if(u?.name===l.name&&u?.textContent===l.textContent)return;let d=i===`connecting`||i===`none`?null:`status`;c(this.notice,`role`,d),this.notice.replaceChildren(l)}#_(e,t){let{percent:n}=e.progress,r=g(e),i=ne(e,this.#e,t);c(this.body,`data-kind`,r),z(this.glyph,r,n,this.#e.say(r)),s(this.title,e.title||e.type||e.id),c(this.title,`title`,this.title.textContent),s(this.state,i);let a=n===null&&[`running`,`cancelling`].includes(r);c(this.fill,`class`,a?`fill unknown`:`fill`),this.fill.style.setProperty(`transform`,`scaleX(${(n??0)/100})`),c(this.bar,`aria-valuenow`,n),c(this.bar,`aria-valuetext`,i),c(this.bar,`aria-label`,this.title.textContent)}tick(e,t){let n=Date.now(),r=this.#e;s(this.message,ie(e,n,r,!this.asks)),s(this.amount,se(e,r)),s(this.rate,v(e,r)),s(this.time,ae(e,t,n,r))}#v(e){let t=![`live`,`ended`,`connecting`,`paused`,`closed`].includes(e);s(this.connection,t?this.#e.say(e):``),this.connection.hidden=!t}#y(e){let t=ce(e,this.#e);this.#c!==null&&this.#c!==t&&s(this.spoken,t),this.#c=t}#b(){let{waiting:e}=this.#r;if(e||this.#M(this.question),this.question.hidden=!e,!e)return this.question.replaceChildren();let t=fe(e,t=>(this.#o=!0,this.#t.answer(t,e.n)),this.#e.form);t.onkeydown=e=>e.stopPropagation(),this.question.replaceChildren(t)}#x(e){c(this.steps,`tabindex`,e.length>12?0:null),l(this.steps,e,e=>e.name,Ce,(e,t)=>this.#S(e,t))}#S(e,t){if(e.step===t)return;e.step=t;let n={pending:`queued`,skipped:`cancelled`}[t.status]??t.status;c(e,`data-kind`,n),z(e.firstChild,n,t.percent,this.#e.say(t.status)),s(e.children[1],t.title||t.name),s(e.children[2],this.#C(t))}#C({status:e,percent:t,started_at:n,completed_at:r}){return e===`running`?t===null?``:this.#e.percent(t):e===`skipped`?this.#e.say(`skipped`):n&&r?this.#e.span(_(n,Date.parse(r))):``}#w({errors:e=[],errors_total:t}){let n=this.sections.errors;n.hidden=!e.length,s(n.count,this.#e.number(t)),l(this.errors,e.slice(-3).reverse(),e=>e.n,()=>V(`li`,`error`),(e,{item:t,message:n})=>s(e,Se(t)+n))}#T({logs:e,logs_total:t},n){let r=this.sections.log;n&&(this.log.replaceChildren(),this.#i=0);let i=(e??[]).filter(e=>e.n>this.#i).slice(-200);if(r.hidden=!this.log.firstChild&&!i.length,!i.length)return;let{scrollHeight:a,scrollTop:o,clientHeight:c}=this.log,l=a-o-c<24;for(s(r.count,this.#e.number(t)),this.log.append(...i.map(e=>this.#E(e)));this.log.children.length>200;)this.log.firstChild.remove();this.#i=i.at(-1).n,l&&(this.log.scrollTop=this.log.scrollHeight)}#E({at:e,level:t,message:n}){let r=o(`time`,this.#s.format(new Date(e)),{datetime:e});return B(`p`,`line`,{"data-level":t},r,o(`span`,n))}#D(e){s(this.sections.files.count,this.#e.number(e.files.length));let t=`${m(e.id)}/files/`;l(this.files,e.files,({name:e,size:t})=>`${e} ${t}`,e=>this.#O(t+encodeURIComponent(e.name),e),()=>{})}#O(e,t){let n=o(`a`,void 0,{target:`_blank`,rel:`noopener noreferrer`});n.download=``,n.append(ye(),V(`span`,`file-name`)),s(n.lastChild,t.name),this.#t.open(n,e);let r=B(`span`,`size`);return s(r,t.size===null?``:this.#e.bytes(t.size)),B(`li`,`file`,{},n,r)}#k(e){let t=this.#n,n=!e||h(t);n&&this.#M(this.button),this.button.hidden=n;let r=t.cancel_requested?`force`:`cancel`;s(this.button,this.#e.say(this.#a?`sure`:r)),this.button.classList.toggle(`sure`,!!this.#a)}async#A(){if(!this.#a)return this.#a=setTimeout(()=>this.#j(),4e3),this.#k(!0),s(this.spoken,this.#e.say(`sure`));this.#j(),await this.#t.cancel(this.#n.cancel_requested).catch(e=>this.#N(e))}#j(){clearTimeout(this.#a),this.#a=0,this.#n&&this.#k(!this.button.hidden)}#M(e){let{activeElement:t}=e.ownerDocument,n=e.contains(this.body.getRootNode().activeElement),r=this.#o&&e===this.question&&t===e.ownerDocument.body;(n||r)&&this.body.focus(),e===this.question&&(this.#o=!1)}#N(e){s(this.refused,e.message),this.refused.hidden=!1,setTimeout(()=>this.refused.hidden=!0,8e3)}};const Se=e=>e===null?``:`${e}: `,Ce=()=>B(`li`,`step`,{},R(),V(`span`,`name`),B(`span`,`time`)),we=/* @__PURE__ */ new Set([`missing`,`gone`,`denied`,`refused`]),Te=[`src`,`job`,`token`,`renew`,`theme`,`view`,`compact`,`readonly`,`lang`],H=[`src`,`token`,`theme`,`view`],U=[`compact`,`readonly`],Ee=[`job`,`renew`,...H,...U],W=/* @__PURE__ */ new Set,G=u(()=>{let e=performance.now()+8;for(let t of W)if(W.delete(t),t(),performance.now()>e)return G()}),K=/* @__PURE__ */ new Set;let q=0;function J(e,t){K[t?`add`:`delete`](e),K.size&&!q&&(q=setInterval(()=>K.forEach(e=>e()),1e3)),K.size||(clearInterval(q),q=0)}let Y=null;const X=/* @__PURE__ */ new WeakMap;function De(e,t){Y??=new IntersectionObserver(e=>e.forEach(e=>X.get(e.target)(e.isIntersecting)),{rootMargin:`200px`}),X.set(e,t),Y.observe(e)}function Z(e){for(let t=e;t;t=t.parentNode??t.host)if(t.lang)return t.lang;return``}function Oe(e,t){let n=new URL(e,t.baseURI);if(!/^https?:$/.test(n.protocol))throw TypeError(`not an address of a server`);return n.pathname.endsWith(`/`)||(n.pathname+=`/`),n.href}var Q=class extends (globalThis.HTMLElement??Object){static observedAttributes=Te;static words=y;#e=this.attachShadow({mode:`open`});#t=null;#n=null;#r=null;#i=null;#a=null;#o=``;#s=``;#c=!1;#l=null;#u=null;#d=`none`;#f=``;#p=!0;#m=!1;#h=0;#g=null;#_=!1;#v=()=>this.#L();#y=()=>this.#u&&this.#t.tick(this.#u,this.#h);get job(){return this.#u}set job(e){this.#b(`job`,e)}get state(){return this.#d}get renew(){return this.#g??this.getAttribute(`renew`)}set renew(e){this.#g=typeof e==`function`?e:null,this.#g||this.#b(`renew`,e),this.#C()}cancel(e=!1){return this.#R(`cancel${e?`?force=true`:``}`,{})}answer(e,t=this.#u?.waiting?.n){return this.#R(`answer`,{n:t,value:e})}#b(e,t){t==null||t===!1?this.removeAttribute(e):this.setAttribute(e,t===!0?``:t)}static{let e=(e,t)=>Object.defineProperty(this.prototype,e,{get(){return t(this)},set(t){this.#b(e,t)},configurable:!0,enumerable:!0});for(let t of H)e(t,e=>e.getAttribute(t)??``);for(let t of U)e(t,e=>e.hasAttribute(t))}connectedCallback(){for(let e of Ee)this.#x(e);ue(this.#e),De(this,e=>this.#S(e)),this.#C()}disconnectedCallback(){Y.unobserve(this),this.#C()}attributeChangedCallback(){this.#C()}#x(e){if(!Object.hasOwn(this,e))return;let t=this[e];delete this[e],this[e]=t}#S(e){this.#l!==e&&(this.#l=e,this.#C())}#C(){this.#_||(this.#_=!0,queueMicrotask(()=>{this.#_=!1,this.isConnected?this.#w():this.#j()}))}#w(){let e=C(Z(this));e!==this.#n&&this.#T(e),this.#D(),this.#F()}#T(e){this.#n=e,this.#t=new xe(e,{cancel:e=>this.cancel(e),answer:(e,t)=>this.answer(e,t),open:(e,t)=>this.#z(e,t)}),this.#p=!0,this.#e.replaceChildren(this.#t.root)}get#E(){return this.compact||this.view===`compact`}#D(){let t=this.getAttribute(`job`);if(!t)return this.#A(`none`);let n,r;try{n=this.src?Oe(this.src,this):e.href,r=this.#O}catch(e){return this.#A(`refused`,e.message)}if(this.#l===null)return;let i=this.#c&&this.#m,a=!this.#E&&(this.#l||i),o=JSON.stringify([n,t]),s=JSON.stringify([o,this.token,r,a]);s!==this.#o&&(o!==this.#s&&this.#A(`connecting`),this.#o=s,this.#s=o,this.#k(t,n,r,a))}get#O(){if(this.#g)return!0;let e=this.getAttribute(`renew`);return e?new URL(e,this.baseURI).href:void 0}#k(e,n,r,i){let a=this.#a={},o=()=>a===this.#a,s=this.#i;this.#c=i;let c=this.#g?()=>this.#g():r;this.#r=new te(n,this.token,c),this.#i=t(e,{...this.#r.watching,...i?{logs:!0,tail:100}:{view:`head`},onChange:(e,t)=>o()&&this.#M(e,t),onState:(e,t)=>o()&&this.#N(e,t),onReset:()=>o()&&(this.#p=!0)}),s?.stop()}#A(e,t=``){this.#j(),this.#s=``,this.#u=null,this.#m=!1,this.#r=null,this.#d=e,this.#f=t,this.#L()}#j(){this.#a=null,this.#i?.stop(),this.#i=null,this.#o=``,J(this.#y,!1)}#M(e,t){this.#u=e,this.#h=Date.now(),this.#p||=!t,this.#P(`change`,{job:e,delta:t}),this.#F()}#N(e,t){this.#d=e,this.#f=t,we.has(e)&&this.#P(`error`,{state:e,detail:t}),e===`ended`&&!this.#m&&(this.#m=!0,this.#P(`end`,{job:this.#u})),this.#F()}#P(e,t){this.dispatchEvent(new CustomEvent(e,{detail:t}))}#F(){this.#I||(W.add(this.#v),G())}get#I(){return this.#l===!1&&this.#u&&this.#t?.root===this.#t?.body}#L(){if(!this.isConnected||this.#I)return;let e=this.#E;this.#t.show(this.#u,{state:this.#d,detail:this.#f,compact:e,mayAct:!this.readonly&&!!this.#r?.mayAct,hasText:[...this.childNodes].some(e=>!e.slot&&e.textContent.trim()),whole:this.#p,seenAt:this.#h}),this.#p=!1,J(this.#y,!!this.#u&&!h(this.#u)&&this.#l)}async#R(e,t){if(!this.#r)throw Error(C(Z(this)).say(`none`));let n=`${m(this.getAttribute(`job`))}/${e}`;try{return await this.#r.post(n,t,this.#n)}catch(e){throw this.#P(`error`,{state:this.#d,detail:e.message}),e}}#z(e,t){let n=()=>e.href=this.#r.link(t);n(),e.onpointerdown=n;let r=!1;e.onclick=async t=>{n(),!r&&this.#r.isOld&&(t.preventDefault(),await this.#r.renew().catch(()=>null),r=!0,e.click(),r=!1)}}};const $=globalThis.customElements;$&&!$.get(`live-job`)&&$.define(`live-job`,Q);export{Q as LiveJob};
