//! The form that asks for a link's password: a page of its own, without script, that the edge
//! answers before the upload page.

use chatlift_shared::{Problem, ProblemCode};

use super::html::escape;
use super::language::direction;

/// The page's look: legible on any engine, light and dark; the field as large as a thumb.
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;padding:24px 20px;\
    max-width:420px;color:#17181c;background:#f4f5f8;overflow-wrap:break-word;overflow-wrap:anywhere}h1{font-size:1.5em;line-height:1.25}\
    label{display:block;margin:16px 0 4px}input,button{box-sizing:border-box;width:100%;\
    min-height:48px;font:inherit;border-radius:12px;padding:8px 14px}\
    input{border:1px solid #8a8f98;background:#fff;color:inherit}\
    button{margin-top:16px;border:0;background:#2455ea;color:#fff;font-weight:600}\
    p.no{color:#c62828}@media(prefers-color-scheme:dark){body{color:#f2f3f5;background:#101216}\
    input{background:#1a1d23}p.no{color:#ff8a80}}";

/// What the page says in a language.
struct Words {
    title: &'static str,
    /// `{app}` is the name of the app.
    why: &'static str,
    label: &'static str,
    go: &'static str,
    wrong: &'static str,
    locked: &'static str,
    /// The password was right, and the browser did not keep what says so.
    cookie: &'static str,
}

/// By language, as [`super::language::tags`] has them.
const WORDS: [(&str, Words); 6] = [
    (
        "en",
        Words {
            title: "This link has a password",
            why: "{app} protects this upload link. You got the password from whoever sent you the link.",
            label: "Password",
            go: "Continue",
            wrong: "The password is wrong. Check it and try again.",
            locked: "Too many wrong passwords. Wait a while, then try again.",
            cookie: "The password was right, but this browser refused the cookie that remembers it. Allow cookies, or open the link in another browser.",
        },
    ),
    (
        "zh-CN",
        Words {
            title: "此链接需要密码",
            why: "{app} 为此上传链接设置了密码。请向发给您链接的人索取密码。",
            label: "密码",
            go: "继续",
            wrong: "密码不正确。请核对后再试。",
            locked: "密码输错次数过多。请稍后再试。",
            cookie: "密码正确，但浏览器拒绝了用于记住它的 Cookie。请允许 Cookie，或换一个浏览器打开链接。",
        },
    ),
    (
        "zh-TW",
        Words {
            title: "此連結需要密碼",
            why: "{app} 為此上傳連結設定了密碼。請向傳送連結給您的人索取密碼。",
            label: "密碼",
            go: "繼續",
            wrong: "密碼不正確。請確認後再試。",
            locked: "密碼輸錯次數過多。請稍後再試。",
            cookie: "密碼正確，但瀏覽器拒絕了用於記住它的 Cookie。請允許 Cookie，或換一個瀏覽器開啟連結。",
        },
    ),
    (
        "ja",
        Words {
            title: "このリンクにはパスワードが必要です",
            why: "{app} がこのアップロードリンクを保護しています。パスワードはリンクを送った人に確認してください。",
            label: "パスワード",
            go: "続ける",
            wrong: "パスワードが違います。確認して、もう一度お試しください。",
            locked: "パスワードの間違いが多すぎます。しばらく待ってからお試しください。",
            cookie: "パスワードは正しいのですが、ブラウザーが Cookie を拒否しました。Cookie を許可するか、別のブラウザーでリンクを開いてください。",
        },
    ),
    (
        "es",
        Words {
            title: "Este enlace tiene contraseña",
            why: "{app} protege este enlace de subida. La contraseña se la da quien le envió el enlace.",
            label: "Contraseña",
            go: "Continuar",
            wrong: "La contraseña no es correcta. Revísela e inténtelo de nuevo.",
            locked: "Demasiadas contraseñas incorrectas. Espere un rato e inténtelo de nuevo.",
            cookie: "La contraseña es correcta, pero el navegador rechazó la cookie que la recuerda. Permita las cookies o abra el enlace en otro navegador.",
        },
    ),
    (
        "ar",
        Words {
            title: "هذا الرابط محمي بكلمة مرور",
            why: "{app} يحمي رابط الرفع هذا. تحصل على كلمة المرور ممن أرسل إليك الرابط.",
            label: "كلمة المرور",
            go: "متابعة",
            wrong: "كلمة المرور غير صحيحة. تحقق منها ثم حاول مرة أخرى.",
            locked: "محاولات خاطئة كثيرة. انتظر قليلًا ثم حاول مرة أخرى.",
            cookie: "كلمة المرور صحيحة، لكن المتصفح رفض ملف تعريف الارتباط الذي يحفظها. اسمح بملفات تعريف الارتباط أو افتح الرابط في متصفح آخر.",
        },
    ),
];

/// The field that tells the page's own form from another client's.
pub const FROM_FORM: &str = "form";

/// The page. `app` is the name of the app that asks; `problem` says why the last try failed.
#[must_use]
pub fn html(token: &str, lang: &str, app: &str, problem: Option<&Problem>) -> String {
    let words = WORDS
        .iter()
        .find(|(tag, _)| *tag == lang)
        .map_or(&WORDS[0].1, |(_, words)| words);
    let why = escape(&words.why.replace("{app}", app));
    let said = match problem.map(|p| p.code) {
        None => String::new(),
        Some(ProblemCode::PasswordLocked) => said(words.locked),
        Some(ProblemCode::PasswordRequired) => said(words.cookie),
        Some(_) => said(words.wrong),
    };
    format!(
        "<!doctype html><html lang=\"{lang}\" dir=\"{dir}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><p>{why}</p>\
         <form method=\"post\" action=\"/u/{token}/password\"><label for=\"p\">{label}</label>{said}\
         <input type=\"hidden\" name=\"{FROM_FORM}\" value=\"1\"><input id=\"p\" name=\"password\" type=\"password\" required autofocus \
         autocomplete=\"current-password\" maxlength=\"128\"><button>{go}</button></form>\
         </body></html>",
        token = escape(token),
        lang = escape(lang),
        dir = direction(lang),
        title = words.title,
        label = words.label,
        go = words.go,
    )
}

fn said(text: &str) -> String {
    format!("<p class=\"no\" role=\"alert\">{text}</p>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::language;

    #[test]
    fn every_language_asks_in_its_own_words() {
        let tags: Vec<_> = language::tags().collect();
        assert_eq!(WORDS.each_ref().map(|(tag, _)| *tag).to_vec(), tags);
        for (tag, words) in &WORDS {
            let page = html("t", tag, "A & <b>", None);
            assert!(page.contains(words.label) && page.contains("A &amp; &lt;b&gt;"));
            assert!(!page.contains("{app}") && !page.contains("role=\"alert\""));
            for (code, text) in [
                (ProblemCode::PasswordWrong, words.wrong),
                (ProblemCode::PasswordLocked, words.locked),
                (ProblemCode::PasswordRequired, words.cookie),
            ] {
                assert!(
                    html("t", tag, "", Some(&code.into())).contains(text),
                    "{tag}"
                );
            }
        }
    }
}
